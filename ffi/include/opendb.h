/*
 * OpenDB: an embedded key-value store. The C interface.
 *
 * This file is generated. Change the comments and signatures in ffi/src instead.
 *
 * CONVENTIONS
 *
 *  1. Handles. A pointer to an opaque type (opendb_database, opendb_iterator, ...) is a handle: a name, not an address.
 *     It is looked up on every call and never followed. One that was freed, closed or consumed, one of another type
 *     and a pointer that never was a handle are OPENDB_ERROR_INVALID_ARGUMENT, always, also where the slot of a freed
 *     handle is in use again. Every handle is freed by the caller, with the function that its type names. A function
 *     that consumes a handle (opendb_close, every commit, rollback and finish) does so whatever its status.
 *
 *  2. Errors. A function that can fail returns an opendb_status: OPENDB_OK (0), OPENDB_NOT_FOUND (-1, not an error), or
 *     the number of an error, greater than 0. Its last parameter, error_out, may be NULL. Otherwise it is always
 *     written: with NULL, or for an error with a new opendb_error that the caller frees. What it pointed to before is
 *     not looked at, so it needs no initial value, and an error that is still wanted must not stand in it.
 *
 *  3. Memory. A parameter whose name ends in _out is a place for a result. It must not be NULL unless its function
 *     says so, and is always written: with the result, or with NULL, zero or empty bytes where there is none. Two
 *     places of one call must not be the same. Bytes of type opendb_bytes belong to the caller until
 *     opendb_bytes_free, and only that function frees them. Bytes of type opendb_view belong to OpenDB and live as
 *     long as the function that hands them out says. Text that is returned as const char * ends in a zero byte and
 *     belongs to OpenDB.
 *
 *  4. Inputs. Keys, values and prefixes are a pointer and a length in bytes and may hold any byte. NULL with length 0
 *     is the empty byte string; NULL with another length is OPENDB_ERROR_INVALID_ARGUMENT. Many keys are an array of
 *     views, each a pointer and a length in the same way, and their count. A buffer that is to be filled is the same,
 *     and the call's alone while it runs. Paths and names of keyspaces end in a zero byte; names are UTF-8, paths any bytes that the system takes for one. opendb_scan, opendb_stats,
 *     opendb_compaction, opendb_backup_result and opendb_salvage_result begin with their size and are begun with
 *     OPENDB_SCAN_INIT and so on. Nothing is kept of an input after the call: what is needed is copied.
 *     A pointer that is neither NULL nor leads to what it should cannot be found out: that is undefined, as in C.
 *
 *  5. NULL. For a pointer that must not be NULL, NULL is OPENDB_ERROR_INVALID_ARGUMENT, and the message names the
 *     parameter. Every ..._free function and opendb_close take NULL and do nothing. Every ..._free function also
 *     does nothing for a handle that is no longer live, so a cleanup at the end of a function may free what was
 *     consumed.
 *
 *  6. Threads. Every function may be called from any thread at any time, with the same handle too. Databases,
 *     keyspaces, snapshots and verifications are used by many threads at once. Calls on one batch, transaction, iterator, value
 *     reader, value writer or set of options run one after the other; sharing one iterator is of little use, since the next call ends the views of
 *     the last. A handle that is freed or consumed while another thread is inside a call on it stays alive until that
 *     call is over. After fork() the child opens the database again and uses no handle of its parent.
 *
 *  7. Lifetimes. What was made from a database (keyspaces, batches, transactions, snapshots, iterators, value writers) answers
 *     OPENDB_ERROR_CLOSED after opendb_close, and is still to be freed; only an iterator that had come to its end
 *     stays there. Handles may be freed in any order. Pinned values, values of many keys, value readers, opendb_bytes, lists of names, verifications and errors do not
 *     depend on the database at all.
 *
 *  8. Unwinding. No function of this header unwinds or ends the process because of an argument: a fault of the library
 *     is OPENDB_ERROR_INTERNAL. The callbacks of opendb_transact and opendb_compact must return: neither an exception
 *     nor longjmp may leave them.
 *
 *  9. Bytes of keys and values never stand in messages.
 */


#ifndef OPENDB_H
#define OPENDB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** The version of this header. */
#define OPENDB_VERSION "0.1.0"

/** Every entry in key order: the beginning of every opendb_scan. */
#define OPENDB_SCAN_INIT { sizeof(opendb_scan), NULL, 0, NULL, 0, NULL, 0, NULL, 0, OPENDB_SCAN_NO_LIMIT, 0, 0 }

/** No counters yet: the beginning of every opendb_stats. */
#define OPENDB_STATS_INIT { sizeof(opendb_stats), \
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, false, false, \
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0.0, 0.0 }

/** Nothing done yet: the beginning of every opendb_compaction. */
#define OPENDB_COMPACTION_INIT { sizeof(opendb_compaction), 0, 0, 0 }

/** Nothing done yet: the beginning of every opendb_backup_result. */
#define OPENDB_BACKUP_RESULT_INIT { sizeof(opendb_backup_result), 0, 0, 0, 0 }

/** Nothing done yet: the beginning of every opendb_salvage_result. */
#define OPENDB_SALVAGE_RESULT_INIT { sizeof(opendb_salvage_result), 0, 0 }


/**
 * The longest key, in bytes.
 */
#define OPENDB_KEY_BYTES_MAX 65535

/**
 * The longest value, in bytes.
 */
#define OPENDB_VALUE_BYTES_MAX 4294967295

/**
 * The longest name of a keyspace, in bytes of UTF-8. The shortest has one.
 */
#define OPENDB_KEYSPACE_NAME_BYTES_MAX 255

/**
 * The most keyspaces of one database, `"default"` included.
 */
#define OPENDB_KEYSPACES_MAX 4095

/**
 * The smallest size of a segment that can be asked for, in bytes.
 */
#define OPENDB_SEGMENT_BYTES_MIN 65536

/**
 * The largest size of a segment that can be asked for, in bytes.
 */
#define OPENDB_SEGMENT_BYTES_MAX 268435456

/**
 * A flag of a scan: from the last key to the first.
 */
#define OPENDB_SCAN_REVERSE 1

/**
 * A flag of a scan: values are never read, and the value of every entry is an empty view.
 */
#define OPENDB_SCAN_KEYS_ONLY 2

/**
 * The limit of a scan that has none.
 */
#define OPENDB_SCAN_NO_LIMIT UINT64_MAX

/**
 * The version of the header: goes up with changes that are not compatible.
 */
#define OPENDB_VERSION_MAJOR 0

/**
 * The version of the header: goes up with additions.
 */
#define OPENDB_VERSION_MINOR 1

/**
 * The version of the header: goes up with corrections.
 */
#define OPENDB_VERSION_PATCH 0

/**
 * Writes that wait to be applied as one. Committing consumes it; `opendb_batch_free` drops it.
 */
typedef struct opendb_batch opendb_batch;

/**
 * An open database. Close it with `opendb_close`.
 */
typedef struct opendb_database opendb_database;

/**
 * Why a call failed: a kind and a message. Free it with `opendb_error_free`.
 */
typedef struct opendb_error opendb_error;

/**
 * Walks over the entries of a scan as they were when it was made. Free it with `opendb_iterator_free`.
 */
typedef struct opendb_iterator opendb_iterator;

/**
 * A key space of its own within a database. Free it with `opendb_keyspace_free`.
 */
typedef struct opendb_keyspace opendb_keyspace;

/**
 * A list of names. Free it with `opendb_names_free`.
 */
typedef struct opendb_names opendb_names;

/**
 * How a database is opened. Every setting has a default that is right for most uses. One set of options can open
 * many databases. Free it with `opendb_options_free`.
 */
typedef struct opendb_options opendb_options;

/**
 * A value that is read where it lies, without a copy. Free it with `opendb_pinned_free`.
 */
typedef struct opendb_pinned opendb_pinned;

/**
 * One keyspace as it was at one moment. Free it with `opendb_snapshot_free`: while it is live, old versions are
 * kept.
 */
typedef struct opendb_snapshot opendb_snapshot;

/**
 * A transaction reads one snapshot and its own writes. Commit and rollback consume it; `opendb_transaction_free`
 * rolls it back.
 */
typedef struct opendb_transaction opendb_transaction;

/**
 * A value that is read piece by piece. It stays the same value, and can be read, also when its key is overwritten or the
 * database closed. Free it with `opendb_value_reader_free`.
 */
typedef struct opendb_value_reader opendb_value_reader;

/**
 * A value that is written piece by piece. Finishing consumes it; `opendb_value_writer_free` gives the value up.
 */
typedef struct opendb_value_writer opendb_value_writer;

/**
 * The values of the keys of one call, in the order of the keys. Free it with `opendb_values_free`: until then the values
 * can be read, also after the database is closed.
 */
typedef struct opendb_values opendb_values;

/**
 * What was found when everything was looked at. Free it with `opendb_verification_free`.
 */
typedef struct opendb_verification opendb_verification;

/**
 * What a call came to: `OPENDB_OK`, `OPENDB_NOT_FOUND`, or the number of an error, which is greater than 0. The
 * numbers stay the same for ever. Later versions may add some: treat an unknown number greater than 0 as an
 * error.
 */
typedef int32_t opendb_status;

/**
 * Bytes that belong to the caller until `opendb_bytes_free`. NULL and 0 where there are none. Neither field may
 * be changed before they are freed.
 */
typedef struct {
    /**
     * The first byte; NULL where the length is 0.
     */
    uint8_t *data;
    /**
     * How many bytes there are.
     */
    size_t length;
} opendb_bytes;

/**
 * Bytes that belong to OpenDB. How long they live is said where a view is handed out.
 */
typedef struct {
    /**
     * The first byte; may be NULL where the length is 0.
     */
    const uint8_t *data;
    /**
     * How many bytes there are.
     */
    size_t length;
} opendb_view;

/**
 * What a commit waits for before it returns: one of `OPENDB_DURABILITY_...`.
 */
typedef int32_t opendb_durability;

/**
 * How the log is appended to: one of `OPENDB_APPEND_MODE_...`.
 */
typedef int32_t opendb_append_mode;

/**
 * Which entries a scan returns and in which order: those that pass every bound that is set. Begin with
 * `opendb_scan scan = OPENDB_SCAN_INIT;`, which is every entry in key order, and set what is wanted. Here a NULL
 * pointer is a bound that is not set; the empty byte string is a pointer that is not NULL, with length 0. The
 * bytes need to stay only while the call that takes the scan runs.
 */
typedef struct {
    /**
     * `sizeof(opendb_scan)`, set by `OPENDB_SCAN_INIT`, so that later versions can add fields.
     */
    size_t size;
    /**
     * Only keys that begin with these bytes.
     */
    const void *prefix;
    /**
     * Length of the prefix in bytes.
     */
    size_t prefix_length;
    /**
     * Only this key and those after it in byte order.
     */
    const void *from;
    /**
     * Length of the lower bound in bytes.
     */
    size_t from_length;
    /**
     * Only keys before this one in byte order.
     */
    const void *until;
    /**
     * Length of the upper bound in bytes.
     */
    size_t until_length;
    /**
     * Only keys that come after this one in the direction of the scan: the way to go on where another scan ended.
     */
    const void *start_after;
    /**
     * Length of that key in bytes.
     */
    size_t start_after_length;
    /**
     * The most entries to return; `OPENDB_SCAN_NO_LIMIT` for all.
     */
    uint64_t limit;
    /**
     * `OPENDB_SCAN_REVERSE`, `OPENDB_SCAN_KEYS_ONLY`, both joined by `|`, or 0.
     */
    uint32_t flags;
    /**
     * Must be 0.
     */
    uint32_t reserved;
} opendb_scan;

/**
 * Counters of a database and what recovery met when it was opened. Begin with `opendb_stats stats =
 * OPENDB_STATS_INIT;`.
 */
typedef struct {
    /**
     * `sizeof(opendb_stats)`, set by `OPENDB_STATS_INIT`, so that later versions can add fields.
     */
    size_t size;
    /**
     * Live keys of all keyspaces.
     */
    uint64_t keys;
    /**
     * Keyspaces, `"default"` included.
     */
    uint64_t keyspaces;
    /**
     * Segment files.
     */
    uint64_t segments;
    /**
     * Bytes of the log that are written.
     */
    uint64_t log_bytes;
    /**
     * Bytes of the log that hold what is live.
     */
    uint64_t live_bytes;
    /**
     * Bytes of the log that hold what was overwritten or deleted.
     */
    uint64_t dead_bytes;
    /**
     * Bytes of disk that are allocated.
     */
    uint64_t allocated_bytes;
    /**
     * Bytes in segments for large values.
     */
    uint64_t large_bytes;
    /**
     * Sequence of the last commit.
     */
    uint64_t last_sequence;
    /**
     * Sequence of the last commit that is known to be on the device.
     */
    uint64_t durable_sequence;
    /**
     * Syncs of the device since the database was opened.
     */
    uint64_t syncs;
    /**
     * Live snapshots, those of transactions and iterators included.
     */
    uint64_t snapshots;
    /**
     * Older versions that are kept for snapshots.
     */
    uint64_t versions;
    /**
     * Bytes of memory in the index.
     */
    uint64_t index_bytes;
    /**
     * Bytes of memory in the key order.
     */
    uint64_t order_bytes;
    /**
     * Bytes of memory in the cache.
     */
    uint64_t cache_bytes;
    /**
     * Reads that the cache answered.
     */
    uint64_t cache_hits;
    /**
     * Reads that the cache could not answer.
     */
    uint64_t cache_misses;
    /**
     * Values that the cache took in.
     */
    uint64_t cache_admissions;
    /**
     * Frames that recovery read.
     */
    uint64_t recovery_frames;
    /**
     * Frames that recovery wrote anew, since they might not have been on the device.
     */
    uint64_t recovery_frames_rewritten;
    /**
     * Bytes of a torn tail that recovery dropped.
     */
    uint64_t recovery_bytes_dropped;
    /**
     * Serial of the segment with the torn tail; 0 where there was none.
     */
    uint64_t recovery_torn_segment;
    /**
     * Byte offset at which the torn tail began.
     */
    uint64_t recovery_torn_offset;
    /**
     * Places that were found damaged: `opendb_recovery_damage` names them.
     */
    uint64_t recovery_damaged;
    /**
     * How the log is appended to: what `OPENDB_APPEND_MODE_AUTO` became.
     */
    opendb_append_mode append_mode;
    /**
     * Whether writes are refused since an earlier write or sync failed.
     */
    bool poisoned;
    /**
     * Whether the database had been closed cleanly.
     */
    bool recovery_clean;
    /**
     * Bytes of commits appended to the log since the database was opened.
     */
    uint64_t bytes_appended;
    /**
     * Bytes of records that compaction has written anew since then.
     */
    uint64_t bytes_copied;
    /**
     * Bytes of checkpoints, and of lists of moves between them, written since then.
     */
    uint64_t bytes_checkpointed;
    /**
     * Bytes of hints written since then.
     */
    uint64_t bytes_hinted;
    /**
     * Bytes of key runs written since then.
     */
    uint64_t bytes_ordered;
    /**
     * Compactions since then, each of some segments.
     */
    uint64_t compactions;
    /**
     * Checkpoints since then.
     */
    uint64_t checkpoints;
    /**
     * Bytes in segments for large values that hold what is live.
     */
    uint64_t large_live_bytes;
    /**
     * Age of the oldest live snapshot, in seconds; 0 where there is none.
     */
    uint64_t oldest_snapshot_seconds;
    /**
     * Bytes of segments that are kept only for snapshots and readers.
     */
    uint64_t pinned_bytes;
    /**
     * Bytes of memory in the table of older versions, about.
     */
    uint64_t versions_bytes;
    /**
     * Key runs on the device.
     */
    uint64_t order_runs;
    /**
     * Bytes of disk in key runs.
     */
    uint64_t order_file_bytes;
    /**
     * Bytes written to files for each byte of commits since the database was opened; 0 before the first commit.
     */
    double write_amplification;
    /**
     * Bytes of disk for each byte that is live; 0 for an empty database.
     */
    double space_amplification;
} opendb_stats;

/**
 * How values are stored: one of `OPENDB_COMPRESSION_...`.
 */
typedef int32_t opendb_compression;

/**
 * The work of `opendb_transact`. What it returns decides: `OPENDB_OK` commits, `OPENDB_ERROR_TRANSACTION` asks
 * for another run, and any other number rolls back and is what `opendb_transact` returns. It must return: no
 * exception and no `longjmp` may leave it.
 */
typedef opendb_status (*opendb_work)(opendb_transaction *transaction, void *user_data);

/**
 * Is told how far a compaction has come, in bytes of segments, and, unless it was ended early, once more at the end. `false` ends it early. It may
 * read and write, but must not compact, verify, back up or close the database, since those wait for the compaction; and
 * it must return: no exception and no `longjmp` may leave it.
 */
typedef bool (*opendb_progress)(uint64_t bytes_done, uint64_t bytes_total, void *user_data);

/**
 * What a compaction has done. Begin with `opendb_compaction compaction = OPENDB_COMPACTION_INIT;`.
 */
typedef struct {
    /**
     * `sizeof(opendb_compaction)`, set by `OPENDB_COMPACTION_INIT`, so that later versions can add fields.
     */
    size_t size;
    /**
     * Segment files that were given up.
     */
    uint64_t segments_removed;
    /**
     * Bytes of records that were written anew.
     */
    uint64_t bytes_copied;
    /**
     * Bytes of the segments that were given up, less those that took their place.
     */
    uint64_t bytes_freed;
} opendb_compaction;

/**
 * What a backup has done. Begin with `opendb_backup_result result = OPENDB_BACKUP_RESULT_INIT;`.
 */
typedef struct {
    /**
     * `sizeof(opendb_backup_result)`, set by `OPENDB_BACKUP_RESULT_INIT`, so that later versions can add fields.
     */
    size_t size;
    /**
     * Sequence of the last commit that is in the backup.
     */
    uint64_t sequence;
    /**
     * Segments whose files the backup shares with the database.
     */
    uint64_t segments_linked;
    /**
     * Segments that were copied.
     */
    uint64_t segments_copied;
    /**
     * Bytes that were copied.
     */
    uint64_t bytes_copied;
} opendb_backup_result;

/**
 * What was brought over from a damaged database. Begin with `opendb_salvage_result result =
 * OPENDB_SALVAGE_RESULT_INIT;`.
 */
typedef struct {
    /**
     * `sizeof(opendb_salvage_result)`, set by `OPENDB_SALVAGE_RESULT_INIT`, so that later versions can add fields.
     */
    size_t size;
    /**
     * Keys that are in the new database.
     */
    uint64_t keys;
    /**
     * Keyspaces of the new database, `"default"` included.
     */
    uint64_t keyspaces;
} opendb_salvage_result;

/**
 * The call did what it was asked.
 */
#define OPENDB_OK 0

/**
 * There is no such key, or the iterator is at its end. Not an error: no `opendb_error` is made.
 */
#define OPENDB_NOT_FOUND -1

/**
 * The files of the database are not what they have to be, or an internal limit of the storage was reached.
 */
#define OPENDB_ERROR_STORAGE 1

/**
 * The cache could not do its work. The data are not affected.
 */
#define OPENDB_ERROR_CACHE 2

/**
 * The transaction conflicts with one that committed after it began. Nothing of it was applied; run it again.
 */
#define OPENDB_ERROR_TRANSACTION 3

/**
 * Bytes that had been durable do not pass their checksum or break the format. The message says where.
 */
#define OPENDB_ERROR_CORRUPTION 4

/**
 * An argument is NULL, outside its limits or no live handle, or options contradict those the directory is open
 * with.
 */
#define OPENDB_ERROR_INVALID_ARGUMENT 5

/**
 * A transaction, batch or snapshot named a keyspace that was never created.
 */
#define OPENDB_ERROR_KEYSPACE_NOT_FOUND 6

/**
 * Another process has the directory open for writing.
 */
#define OPENDB_ERROR_LOCKED 7

/**
 * The database was closed.
 */
#define OPENDB_ERROR_CLOSED 8

/**
 * The database is open for reading only.
 */
#define OPENDB_ERROR_READ_ONLY 9

/**
 * The device is full. Nothing of the write is there, and the same handle goes on once there is room.
 */
#define OPENDB_ERROR_NO_SPACE 10

/**
 * The operating system refused a call.
 */
#define OPENDB_ERROR_IO 11

/**
 * An earlier write or sync failed. Reads go on; writes are refused until the database is opened again.
 */
#define OPENDB_ERROR_POISONED 12

/**
 * The directory was written by a newer version of the format. Nothing in it was touched.
 */
#define OPENDB_ERROR_UNSUPPORTED 13

/**
 * The handle was made before a `fork` and is used in the child. Open the database again there.
 */
#define OPENDB_ERROR_FORKED 14

/**
 * OpenDB broke one of its own rules. This is a bug; please report it.
 */
#define OPENDB_ERROR_INTERNAL 15

/**
 * The write survives the death of the process at any instant. The device is synced in the background at least
 * once a second, so a power cut loses at most the last second.
 */
#define OPENDB_DURABILITY_BUFFERED 0

/**
 * The write is on the device before the call returns. Concurrent committers share one sync.
 */
#define OPENDB_DURABILITY_SYNC 1

/**
 * Mapped where the filesystem keeps the room it promised (ext4, XFS, tmpfs), otherwise written.
 */
#define OPENDB_APPEND_MODE_AUTO 0

/**
 * Stores into a shared mapping of the active segment.
 */
#define OPENDB_APPEND_MODE_MAPPED 1

/**
 * One positioned write to the file for each commit.
 */
#define OPENDB_APPEND_MODE_WRITE 2

/**
 * As they are.
 */
#define OPENDB_COMPRESSION_NONE 0

/**
 * As a block of LZ4 where that is smaller. Values over 1 MiB are stored as they are.
 */
#define OPENDB_COMPRESSION_LZ4 1

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * The name of a status in capitals, such as `INVALID_ARGUMENT`, without the prefix of the constant; `UNKNOWN` for
 * a number that is none. The text is never NULL and lives for ever.
 */
const char *opendb_status_name(opendb_status status);

/**
 * The kind of an error: the same number as the status of the call that made it, one of `OPENDB_ERROR_...` or what
 * the work of `opendb_transact` returned. `OPENDB_OK` for NULL, `OPENDB_ERROR_INVALID_ARGUMENT` for what is no
 * live error.
 */
opendb_status opendb_error_kind(const opendb_error *error);

/**
 * What was being done, to what, and what to do about it: UTF-8, lower case, without bytes of keys or values.
 * Never NULL. The text lives until the error is freed; for NULL and what is no live error it is a fixed one.
 */
const char *opendb_error_message(const opendb_error *error);

/**
 * Whether the same work, done again from its beginning, may succeed without anybody's help: true for a conflict
 * of transactions and for a directory in use by another process. False for NULL and what is no live error.
 */
bool opendb_error_retryable(const opendb_error *error);

/**
 * Frees an error and its message.
 */
void opendb_error_free(opendb_error *error);

/**
 * Frees bytes and leaves NULL and 0 in their place, so that freeing them again does nothing. NULL does nothing.
 * What is in the place came from OpenDB and was not changed, or is all zero.
 */
void opendb_bytes_free(opendb_bytes *bytes);

/**
 * Frees a pinned value: the view that came with it ends here.
 */
void opendb_pinned_free(opendb_pinned *pinned);

/**
 * How many names the list has; 0 for NULL and what is no live list.
 */
size_t opendb_names_length(const opendb_names *names);

/**
 * The name at a place, counted from 0: UTF-8 with a zero byte at its end. It lives until the list is freed. NULL
 * where the list has no such place, for NULL and for what is no live list.
 */
const char *opendb_names_at(const opendb_names *names,
                            size_t index);

/**
 * Frees a list of names and the names in it.
 */
void opendb_names_free(opendb_names *names);

/**
 * How many values there are, absent ones counted: as many as keys were asked for. 0 for NULL and what are no live values.
 */
size_t opendb_values_length(const opendb_values *values);

/**
 * The value at a place, counted from 0, where it lies: the view lives until the values are freed. `OPENDB_NOT_FOUND` where
 * the key was not there, `OPENDB_ERROR_INVALID_ARGUMENT` where there is no such place.
 */
opendb_status opendb_values_at(const opendb_values *values,
                               size_t index,
                               opendb_view *value_out,
                               opendb_error **error_out);

/**
 * Frees values: the views of them end here.
 */
void opendb_values_free(opendb_values *values);

/**
 * Options with every setting at its default. NULL only where a million options are live already.
 */
opendb_options *opendb_options_new(void);

/**
 * Whether a missing directory or database is created (default: true). Without it, opening what is not there is an
 * error and nothing is made.
 */
opendb_status opendb_options_set_create(opendb_options *options,
                                        bool create,
                                        opendb_error **error_out);

/**
 * What commits wait for unless they say otherwise (default: `OPENDB_DURABILITY_BUFFERED`). Another number is
 * `OPENDB_ERROR_INVALID_ARGUMENT`.
 */
opendb_status opendb_options_set_durability(opendb_options *options,
                                            opendb_durability durability,
                                            opendb_error **error_out);

/**
 * How the log is appended to (default: `OPENDB_APPEND_MODE_AUTO`). Another number is
 * `OPENDB_ERROR_INVALID_ARGUMENT`.
 */
opendb_status opendb_options_set_append_mode(opendb_options *options,
                                             opendb_append_mode append_mode,
                                             opendb_error **error_out);

/**
 * Whether segments are read through memory maps (default: true). Without, and with `OPENDB_APPEND_MODE_WRITE`, no
 * file of the database is mapped at all.
 */
opendb_status opendb_options_set_mapped_reads(opendb_options *options,
                                              bool mapped_reads,
                                              opendb_error **error_out);

/**
 * The bound of the cache, in bytes (default: 64 MiB); 0 turns it off.
 */
opendb_status opendb_options_set_cache_bytes(opendb_options *options,
                                             uint64_t cache_bytes,
                                             opendb_error **error_out);

/**
 * The size of new segments, in bytes, from `OPENDB_SEGMENT_BYTES_MIN` to `OPENDB_SEGMENT_BYTES_MAX` (default: 64
 * MiB, growing to 256 MiB as the database grows). Rounded up to a whole number of 4 KiB pages. A size outside the
 * limits is taken here and refused by `opendb_open`.
 */
opendb_status opendb_options_set_segment_bytes(opendb_options *options,
                                               uint64_t segment_bytes,
                                               opendb_error **error_out);

/**
 * Whether a damaged database is opened for reading what is still readable (default: false, damage is
 * `OPENDB_ERROR_CORRUPTION`). Every write is then refused with `OPENDB_ERROR_READ_ONLY`, nothing in the directory
 * is changed, and `opendb_recovery_damage` tells what is missing: a key whose newest record is lost shows an
 * older value or none.
 */
opendb_status opendb_options_set_read_damaged(opendb_options *options,
                                              bool read_damaged,
                                              opendb_error **error_out);

/**
 * Whether a database is opened for reading only (default: false): without a lock and without any change of the directory, beside
 * a process that writes, beside any number of others that read, or from what cannot be written to. What the other process
 * commits is seen within milliseconds (see `opendb_refresh`), and every write is refused with `OPENDB_ERROR_READ_ONLY`.
 */
opendb_status opendb_options_set_read_only(opendb_options *options,
                                           bool read_only,
                                           opendb_error **error_out);

/**
 * How long an opening waits for another process that has the directory open for writing, in milliseconds (default: 0),
 * before that is `OPENDB_ERROR_LOCKED`. Nobody waits who opens for reading only.
 */
opendb_status opendb_options_set_lock_timeout(opendb_options *options,
                                              uint64_t milliseconds,
                                              opendb_error **error_out);

/**
 * Frees options. Databases opened with them are not affected.
 */
void opendb_options_free(opendb_options *options);

/**
 * Opens the database in the directory `path`, which is created if it is missing, takes the directory's lock
 * against other processes and recovers what a crash left behind. `options` may be NULL for the defaults. Opening
 * a directory again within a process gives another handle on the same database. `OPENDB_ERROR_LOCKED` where
 * another process has it, `OPENDB_ERROR_CORRUPTION` where it is damaged, `OPENDB_ERROR_INVALID_ARGUMENT` for an
 * empty path and for options outside their limits or against those it is open with, `OPENDB_ERROR_UNSUPPORTED` for
 * a newer format.
 */
opendb_status opendb_open(const char *path,
                          const opendb_options *options,
                          opendb_database **database_out,
                          opendb_error **error_out);

/**
 * Closes the database. The handle is consumed in every case, also where the last sync fails and the status says
 * so. Keyspaces, batches, transactions, snapshots and iterators made from it answer `OPENDB_ERROR_CLOSED` from
 * now on and are still to be freed; pinned values stay readable. NULL does nothing.
 */
opendb_status opendb_close(opendb_database *database,
                           opendb_error **error_out);

/**
 * The directory of the database. The text lives until the database is closed. NULL for NULL and what is no live
 * database.
 */
const char *opendb_path(const opendb_database *database);

/**
 * Writes a value under a key; an older value is replaced. When it returns, the write survives the death of the
 * process; with `OPENDB_DURABILITY_SYNC` among the options it is on the device as well.
 * `OPENDB_ERROR_INVALID_ARGUMENT` for a key over `OPENDB_KEY_BYTES_MAX` or a value over `OPENDB_VALUE_BYTES_MAX`.
 */
opendb_status opendb_put(const opendb_database *database,
                         const void *key,
                         size_t key_length,
                         const void *value,
                         size_t value_length,
                         opendb_error **error_out);

/**
 * Like `opendb_put`, with a durability for this write.
 */
opendb_status opendb_put_with(const opendb_database *database,
                              const void *key,
                              size_t key_length,
                              const void *value,
                              size_t value_length,
                              opendb_durability durability,
                              opendb_error **error_out);

/**
 * Removes a key. Succeeds also where the key is absent.
 */
opendb_status opendb_delete(const opendb_database *database,
                            const void *key,
                            size_t key_length,
                            opendb_error **error_out);

/**
 * Like `opendb_delete`, with a durability for this delete.
 */
opendb_status opendb_delete_with(const opendb_database *database,
                                 const void *key,
                                 size_t key_length,
                                 opendb_durability durability,
                                 opendb_error **error_out);

/**
 * Stores a replacement under a key where its value is the expected one; nobody else changes the key in between. NULL stands for a
 * key that is not there, on either side: it is created only where it is missing, or removed. `OPENDB_NOT_FOUND`, with nothing
 * written, where the key has another value. Otherwise like `opendb_put`.
 */
opendb_status opendb_compare_and_swap(const opendb_database *database,
                                      const void *key,
                                      size_t key_length,
                                      const opendb_view *expected,
                                      const opendb_view *replacement,
                                      opendb_error **error_out);

/**
 * Like `opendb_compare_and_swap`, with a durability for this write.
 */
opendb_status opendb_compare_and_swap_with(const opendb_database *database,
                                           const void *key,
                                           size_t key_length,
                                           const opendb_view *expected,
                                           const opendb_view *replacement,
                                           opendb_durability durability,
                                           opendb_error **error_out);

/**
 * Removes a key and gives the value that it had, which `opendb_bytes_free` frees: of those who take the same key at once one gets
 * it. `OPENDB_NOT_FOUND`, with nothing written, where the key is not there. Otherwise like `opendb_delete`.
 */
opendb_status opendb_take(const opendb_database *database,
                          const void *key,
                          size_t key_length,
                          opendb_bytes *value_out,
                          opendb_error **error_out);

/**
 * Like `opendb_take`, with a durability for this delete.
 */
opendb_status opendb_take_with(const opendb_database *database,
                               const void *key,
                               size_t key_length,
                               opendb_durability durability,
                               opendb_bytes *value_out,
                               opendb_error **error_out);

/**
 * Adds to the number under a key and gives the sum; nobody else changes the key in between. A key that is not there counts as
 * 0. Numbers are 8 bytes, little endian, signed (two's complement): an unsigned one below 2^63 is the same bytes.
 * `OPENDB_ERROR_INVALID_ARGUMENT`, with nothing written, where the value does not have 8 bytes or the sum is beyond what they
 * hold. Otherwise like `opendb_put`.
 */
opendb_status opendb_increment(const opendb_database *database,
                               const void *key,
                               size_t key_length,
                               int64_t by,
                               int64_t *sum_out,
                               opendb_error **error_out);

/**
 * Like `opendb_increment`, with a durability for this write.
 */
opendb_status opendb_increment_with(const opendb_database *database,
                                    const void *key,
                                    size_t key_length,
                                    int64_t by,
                                    opendb_durability durability,
                                    int64_t *sum_out,
                                    opendb_error **error_out);

/**
 * Reads the newest value of a key into bytes of the caller's own, which `opendb_bytes_free` frees.
 * `OPENDB_NOT_FOUND` where there is no such key.
 */
opendb_status opendb_get(const opendb_database *database,
                         const void *key,
                         size_t key_length,
                         opendb_bytes *value_out,
                         opendb_error **error_out);

/**
 * Reads the newest value of a key where it lies, without a copy. The view lives until the pinned value is freed
 * with `opendb_pinned_free`, also after the database is closed. `OPENDB_NOT_FOUND` where there is no such key.
 */
opendb_status opendb_get_pinned(const opendb_database *database,
                                const void *key,
                                size_t key_length,
                                opendb_pinned **pinned_out,
                                opendb_view *value_out,
                                opendb_error **error_out);

/**
 * Reads the newest values of many keys with one call, as of one moment; a view in `keys` for each. Faster than as many
 * calls of `opendb_get`, and no value is copied. A key that is not there has its place among the values all the same. Free
 * them with `opendb_values_free`.
 */
opendb_status opendb_get_many(const opendb_database *database,
                              const opendb_view *keys,
                              size_t count,
                              opendb_values **values_out,
                              opendb_error **error_out);

/**
 * Whether a key is there: `OPENDB_OK` if so, otherwise `OPENDB_NOT_FOUND`. Cheaper than a get: no value is read.
 */
opendb_status opendb_exists(const opendb_database *database,
                            const void *key,
                            size_t key_length,
                            opendb_error **error_out);

/**
 * Makes an iterator over what the scan asks for, sorted by key in byte order, as it is at this moment; NULL asks
 * for every entry. Lazy: a scan of a large database holds no large memory. Free it with `opendb_iterator_free`.
 * `OPENDB_ERROR_INVALID_ARGUMENT` for a scan with a wrong size or an unknown flag.
 */
opendb_status opendb_iter(const opendb_database *database,
                          const opendb_scan *scan,
                          opendb_iterator **iterator_out,
                          opendb_error **error_out);

/**
 * Makes an iterator over the keys that begin with the prefix: `opendb_iter` with nothing but a prefix.
 */
opendb_status opendb_scan_prefix(const opendb_database *database,
                                 const void *prefix,
                                 size_t prefix_length,
                                 opendb_iterator **iterator_out,
                                 opendb_error **error_out);

/**
 * Counts the keys of the keyspace `default`: exact, and without walking over them.
 */
opendb_status opendb_len(const opendb_database *database, uint64_t *count_out, opendb_error **error_out);

/**
 * Waits until everything written so far is on the device. After a failed sync the database is poisoned and writes
 * are refused until it is opened again.
 */
opendb_status opendb_flush(const opendb_database *database,
                           opendb_error **error_out);

/**
 * Sees to it that everything is seen that was committed before this call, by whatever process. It is for a database that was opened
 * for reading only, which otherwise looks for new commits with each use, at most once in a millisecond. What it sees only grows, by
 * whole commits. Any other one sees every commit at once.
 */
opendb_status opendb_refresh(const opendb_database *database,
                             opendb_error **error_out);

/**
 * Lists the names of the keyspaces, sorted, `default` included. Free the list with `opendb_names_free`. A zero
 * byte in a name, which C cannot write, shows as `?`.
 */
opendb_status opendb_keyspaces(const opendb_database *database,
                               opendb_names **names_out,
                               opendb_error **error_out);

/**
 * Reads the counters of the database. Cheap, and consistent one by one, not with each other.
 */
opendb_status opendb_stats_read(const opendb_database *database,
                                opendb_stats *stats,
                                opendb_error **error_out);

/**
 * Lists the places that were found damaged when the database was opened with `read_damaged`, as text for people.
 * Empty for a database without damage. Free the list with `opendb_names_free`.
 */
opendb_status opendb_recovery_damage(const opendb_database *database,
                                     opendb_names **names_out,
                                     opendb_error **error_out);

/**
 * Goes to the next entry and returns `OPENDB_OK`, or `OPENDB_NOT_FOUND` after the last one. Both views live until
 * the next call with this iterator, its freeing included. `value_out` may be NULL where values are not wanted.
 * After an error the iterator is at its end, except that `OPENDB_ERROR_CLOSED` is answered again.
 */
opendb_status opendb_iterator_next(opendb_iterator *iterator,
                                   opendb_view *key_out,
                                   opendb_view *value_out,
                                   opendb_error **error_out);

/**
 * Frees an iterator, at its end or before.
 */
void opendb_iterator_free(opendb_iterator *iterator);

/**
 * Gives a handle on the keyspace with this name (UTF-8, 1 to `OPENDB_KEYSPACE_NAME_BYTES_MAX` bytes), which is
 * created if it is missing. `default` always exists and is what the calls on the database itself use.
 * `OPENDB_ERROR_INVALID_ARGUMENT` for a name outside the limits, or one more than `OPENDB_KEYSPACES_MAX` of them.
 */
opendb_status opendb_keyspace_open(const opendb_database *database,
                                   const char *name,
                                   opendb_keyspace **keyspace_out,
                                   opendb_error **error_out);

/**
 * Like `opendb_keyspace_open`, and sees to it that its values are stored so from now on: one of
 * `OPENDB_COMPRESSION_...`. The setting stays with the keyspace, and `default` can have one as well; what was written
 * before stays as it is.
 */
opendb_status opendb_keyspace_open_with(const opendb_database *database,
                                        const char *name,
                                        opendb_compression compression,
                                        opendb_keyspace **keyspace_out,
                                        opendb_error **error_out);

/**
 * How values are stored that are written to the keyspace from now on: one of `OPENDB_COMPRESSION_...`;
 * `OPENDB_COMPRESSION_NONE` also for NULL and what is no live keyspace.
 */
opendb_compression opendb_keyspace_compression(const opendb_keyspace *keyspace);

/**
 * The name of the keyspace. The text lives until the keyspace is freed. NULL for NULL and what is no live
 * keyspace.
 */
const char *opendb_keyspace_name(const opendb_keyspace *keyspace);

/**
 * Writes a value under a key in the keyspace; an older value is replaced. When it returns, the write survives the
 * death of the process; with `OPENDB_DURABILITY_SYNC` among the options it is on the device as well.
 * `OPENDB_ERROR_INVALID_ARGUMENT` for a key over `OPENDB_KEY_BYTES_MAX` or a value over `OPENDB_VALUE_BYTES_MAX`.
 */
opendb_status opendb_keyspace_put(const opendb_keyspace *keyspace,
                                  const void *key,
                                  size_t key_length,
                                  const void *value,
                                  size_t value_length,
                                  opendb_error **error_out);

/**
 * Like `opendb_keyspace_put`, with a durability for this write.
 */
opendb_status opendb_keyspace_put_with(const opendb_keyspace *keyspace,
                                       const void *key,
                                       size_t key_length,
                                       const void *value,
                                       size_t value_length,
                                       opendb_durability durability,
                                       opendb_error **error_out);

/**
 * Removes a key in the keyspace. Succeeds also where the key is absent.
 */
opendb_status opendb_keyspace_delete(const opendb_keyspace *keyspace,
                                     const void *key,
                                     size_t key_length,
                                     opendb_error **error_out);

/**
 * Like `opendb_keyspace_delete`, with a durability for this delete.
 */
opendb_status opendb_keyspace_delete_with(const opendb_keyspace *keyspace,
                                          const void *key,
                                          size_t key_length,
                                          opendb_durability durability,
                                          opendb_error **error_out);

/**
 * Like `opendb_compare_and_swap`, in the keyspace.
 */
opendb_status opendb_keyspace_compare_and_swap(const opendb_keyspace *keyspace,
                                               const void *key,
                                               size_t key_length,
                                               const opendb_view *expected,
                                               const opendb_view *replacement,
                                               opendb_error **error_out);

/**
 * Like `opendb_keyspace_compare_and_swap`, with a durability for this write.
 */
opendb_status opendb_keyspace_compare_and_swap_with(const opendb_keyspace *keyspace,
                                                    const void *key,
                                                    size_t key_length,
                                                    const opendb_view *expected,
                                                    const opendb_view *replacement,
                                                    opendb_durability durability,
                                                    opendb_error **error_out);

/**
 * Like `opendb_take`, in the keyspace.
 */
opendb_status opendb_keyspace_take(const opendb_keyspace *keyspace,
                                   const void *key,
                                   size_t key_length,
                                   opendb_bytes *value_out,
                                   opendb_error **error_out);

/**
 * Like `opendb_keyspace_take`, with a durability for this delete.
 */
opendb_status opendb_keyspace_take_with(const opendb_keyspace *keyspace,
                                        const void *key,
                                        size_t key_length,
                                        opendb_durability durability,
                                        opendb_bytes *value_out,
                                        opendb_error **error_out);

/**
 * Like `opendb_increment`, in the keyspace.
 */
opendb_status opendb_keyspace_increment(const opendb_keyspace *keyspace,
                                        const void *key,
                                        size_t key_length,
                                        int64_t by,
                                        int64_t *sum_out,
                                        opendb_error **error_out);

/**
 * Like `opendb_keyspace_increment`, with a durability for this write.
 */
opendb_status opendb_keyspace_increment_with(const opendb_keyspace *keyspace,
                                             const void *key,
                                             size_t key_length,
                                             int64_t by,
                                             opendb_durability durability,
                                             int64_t *sum_out,
                                             opendb_error **error_out);

/**
 * Reads the newest value of a key in the keyspace into bytes of the caller's own, which `opendb_bytes_free`
 * frees. `OPENDB_NOT_FOUND` where there is no such key.
 */
opendb_status opendb_keyspace_get(const opendb_keyspace *keyspace,
                                  const void *key,
                                  size_t key_length,
                                  opendb_bytes *value_out,
                                  opendb_error **error_out);

/**
 * Reads the newest value of a key in the keyspace where it lies, without a copy. The view lives until the pinned
 * value is freed with `opendb_pinned_free`, also after the database is closed. `OPENDB_NOT_FOUND` where there is
 * no such key.
 */
opendb_status opendb_keyspace_get_pinned(const opendb_keyspace *keyspace,
                                         const void *key,
                                         size_t key_length,
                                         opendb_pinned **pinned_out,
                                         opendb_view *value_out,
                                         opendb_error **error_out);

/**
 * Like `opendb_get_many`, in the keyspace.
 */
opendb_status opendb_keyspace_get_many(const opendb_keyspace *keyspace,
                                       const opendb_view *keys,
                                       size_t count,
                                       opendb_values **values_out,
                                       opendb_error **error_out);

/**
 * Whether a key is there in the keyspace: `OPENDB_OK` if so, otherwise `OPENDB_NOT_FOUND`. Cheaper than a get: no
 * value is read.
 */
opendb_status opendb_keyspace_exists(const opendb_keyspace *keyspace,
                                     const void *key,
                                     size_t key_length,
                                     opendb_error **error_out);

/**
 * Makes an iterator over what the scan asks for in the keyspace, sorted by key in byte order, as it is at this
 * moment; NULL asks for every entry. Lazy: a scan of a large database holds no large memory. Free it with
 * `opendb_iterator_free`. `OPENDB_ERROR_INVALID_ARGUMENT` for a scan with a wrong size or an unknown flag.
 */
opendb_status opendb_keyspace_iter(const opendb_keyspace *keyspace,
                                   const opendb_scan *scan,
                                   opendb_iterator **iterator_out,
                                   opendb_error **error_out);

/**
 * Makes an iterator over the keys that begin with the prefix in the keyspace: `opendb_keyspace_iter` with nothing
 * but a prefix.
 */
opendb_status opendb_keyspace_scan_prefix(const opendb_keyspace *keyspace,
                                          const void *prefix,
                                          size_t prefix_length,
                                          opendb_iterator **iterator_out,
                                          opendb_error **error_out);

/**
 * Counts the keys in the keyspace: exact, and without walking over them.
 */
opendb_status opendb_keyspace_len(const opendb_keyspace *keyspace,
                                  uint64_t *count_out,
                                  opendb_error **error_out);

/**
 * Frees the handle of a keyspace. What is in the keyspace stays.
 */
void opendb_keyspace_free(opendb_keyspace *keyspace);

/**
 * Makes an empty batch. Nothing is applied before it is committed.
 */
opendb_status opendb_batch_new(const opendb_database *database,
                               opendb_batch **batch_out,
                               opendb_error **error_out);

/**
 * Adds a write to the batch. A later write or delete of the same key in the batch wins. Limits as for
 * `opendb_put`; `OPENDB_ERROR_KEYSPACE_NOT_FOUND` where no keyspace has the name. A refused write leaves the
 * batch as it was.
 */
opendb_status opendb_batch_put(opendb_batch *batch,
                               const char *keyspace,
                               const void *key,
                               size_t key_length,
                               const void *value,
                               size_t value_length,
                               opendb_error **error_out);

/**
 * Adds a delete to the batch, otherwise like `opendb_batch_put`.
 */
opendb_status opendb_batch_delete(opendb_batch *batch,
                                  const char *keyspace,
                                  const void *key,
                                  size_t key_length,
                                  opendb_error **error_out);

/**
 * Counts the writes and deletes in the batch.
 */
opendb_status opendb_batch_len(const opendb_batch *batch, uint64_t *count_out, opendb_error **error_out);

/**
 * Applies the batch: all of it or, where the call fails, nothing. The handle is consumed in every case.
 */
opendb_status opendb_batch_commit(opendb_batch *batch, opendb_error **error_out);

/**
 * Like `opendb_batch_commit`, with a durability for this commit.
 */
opendb_status opendb_batch_commit_with(opendb_batch *batch,
                                       opendb_durability durability,
                                       opendb_error **error_out);

/**
 * Drops a batch: nothing of it is applied.
 */
void opendb_batch_free(opendb_batch *batch);

/**
 * Begins a transaction on a snapshot of this moment. Transactions are optimistic and serializable: nothing is
 * locked, and a commit fails where something that was read, a scanned range included, has changed since.
 */
opendb_status opendb_transaction_begin(const opendb_database *database,
                                       opendb_transaction **transaction_out,
                                       opendb_error **error_out);

/**
 * Reads the value of a key, as the snapshot or this transaction's own writes have it, into bytes of the caller's
 * own, which `opendb_bytes_free` frees. `OPENDB_NOT_FOUND` where there is no such key,
 * `OPENDB_ERROR_KEYSPACE_NOT_FOUND` where no keyspace has the name.
 */
opendb_status opendb_transaction_get(const opendb_transaction *transaction,
                                     const char *keyspace,
                                     const void *key,
                                     size_t key_length,
                                     opendb_bytes *value_out,
                                     opendb_error **error_out);

/**
 * Reads the values of many keys with one call, as `opendb_transaction_get` gives each; all of them count as read. A key that
 * is not there has its place among the values all the same. Free them with `opendb_values_free`.
 */
opendb_status opendb_transaction_get_many(const opendb_transaction *transaction,
                                          const char *keyspace,
                                          const opendb_view *keys,
                                          size_t count,
                                          opendb_values **values_out,
                                          opendb_error **error_out);

/**
 * Whether a key is there, as the snapshot or this transaction's own writes have it: `OPENDB_OK` if so, otherwise
 * `OPENDB_NOT_FOUND`.
 */
opendb_status opendb_transaction_exists(const opendb_transaction *transaction,
                                        const char *keyspace,
                                        const void *key,
                                        size_t key_length,
                                        opendb_error **error_out);

/**
 * Writes a value, seen by this transaction at once and by others after the commit. Limits as for `opendb_put`;
 * `OPENDB_ERROR_KEYSPACE_NOT_FOUND` where no keyspace has the name. A refused write leaves the transaction as it
 * was.
 */
opendb_status opendb_transaction_put(opendb_transaction *transaction,
                                     const char *keyspace,
                                     const void *key,
                                     size_t key_length,
                                     const void *value,
                                     size_t value_length,
                                     opendb_error **error_out);

/**
 * Removes a key, otherwise like `opendb_transaction_put`. Succeeds also where the key is absent.
 */
opendb_status opendb_transaction_delete(opendb_transaction *transaction,
                                        const char *keyspace,
                                        const void *key,
                                        size_t key_length,
                                        opendb_error **error_out);

/**
 * Makes an iterator over what the scan asks for, with the writes that this transaction made before. NULL asks for
 * every entry. Keys that another transaction puts into the scanned range, or takes out of it, make the commit a
 * conflict. Free it with `opendb_iterator_free`.
 */
opendb_status opendb_transaction_iter(const opendb_transaction *transaction,
                                      const char *keyspace,
                                      const opendb_scan *scan,
                                      opendb_iterator **iterator_out,
                                      opendb_error **error_out);

/**
 * Makes an iterator over the keys that begin with the prefix: `opendb_transaction_iter` with nothing but a
 * prefix.
 */
opendb_status opendb_transaction_scan_prefix(const opendb_transaction *transaction,
                                             const char *keyspace,
                                             const void *prefix,
                                             size_t prefix_length,
                                             opendb_iterator **iterator_out,
                                             opendb_error **error_out);

/**
 * Commits: every write of the transaction is applied or, where the call fails, none. The handle is consumed in
 * every case. `OPENDB_ERROR_TRANSACTION` where something it read has changed: begin again.
 */
opendb_status opendb_transaction_commit(opendb_transaction *transaction,
                                        opendb_error **error_out);

/**
 * Like `opendb_transaction_commit`, with a durability for this commit.
 */
opendb_status opendb_transaction_commit_with(opendb_transaction *transaction,
                                             opendb_durability durability,
                                             opendb_error **error_out);

/**
 * Rolls back: nothing of the transaction is applied. The handle is consumed in every case.
 */
opendb_status opendb_transaction_rollback(opendb_transaction *transaction, opendb_error **error_out);

/**
 * Rolls back a transaction that is still live, as `opendb_transaction_rollback` does, but has no status. Does
 * nothing after a commit or rollback, and nothing to the transaction of `opendb_transact`.
 */
void opendb_transaction_free(opendb_transaction *transaction);

/**
 * Runs the work in a transaction and commits it, again from the beginning after a conflict, with growing pauses
 * and not for ever: the last conflict is then the error. The transaction lives until the work returns and must
 * not be committed or rolled back by it. `user_data` is handed to the work as it is. A number other than
 * `OPENDB_OK` and `OPENDB_ERROR_TRANSACTION` that the work returns is returned from here, with an error that
 * names it where it is greater than 0.
 */
opendb_status opendb_transact(const opendb_database *database,
                              opendb_work work,
                              void *user_data,
                              opendb_error **error_out);

/**
 * Like `opendb_transact`, with how often the work is run again after a conflict, at most (99 there), and with a durability for the
 * commit.
 */
opendb_status opendb_transact_with(const opendb_database *database,
                                   uint32_t retries,
                                   opendb_durability durability,
                                   opendb_work work,
                                   void *user_data,
                                   opendb_error **error_out);

/**
 * Holds the database as it is at this moment and looks at the keyspace `default` of it.
 */
opendb_status opendb_snapshot_new(const opendb_database *database,
                                  opendb_snapshot **snapshot_out,
                                  opendb_error **error_out);

/**
 * The same moment, another keyspace: a snapshot of its own, to be freed on its own.
 * `OPENDB_ERROR_KEYSPACE_NOT_FOUND` where no keyspace has the name.
 */
opendb_status opendb_snapshot_keyspace(const opendb_snapshot *snapshot,
                                       const char *keyspace,
                                       opendb_snapshot **snapshot_out,
                                       opendb_error **error_out);

/**
 * Reads the value of a key in the snapshot into bytes of the caller's own, which `opendb_bytes_free` frees.
 * `OPENDB_NOT_FOUND` where there is no such key.
 */
opendb_status opendb_snapshot_get(const opendb_snapshot *snapshot,
                                  const void *key,
                                  size_t key_length,
                                  opendb_bytes *value_out,
                                  opendb_error **error_out);

/**
 * Reads the value of a key in the snapshot where it lies, without a copy. The view lives until the pinned value
 * is freed with `opendb_pinned_free`, also after the database is closed. `OPENDB_NOT_FOUND` where there is no
 * such key.
 */
opendb_status opendb_snapshot_get_pinned(const opendb_snapshot *snapshot,
                                         const void *key,
                                         size_t key_length,
                                         opendb_pinned **pinned_out,
                                         opendb_view *value_out,
                                         opendb_error **error_out);

/**
 * Like `opendb_get_many`, in the snapshot.
 */
opendb_status opendb_snapshot_get_many(const opendb_snapshot *snapshot,
                                       const opendb_view *keys,
                                       size_t count,
                                       opendb_values **values_out,
                                       opendb_error **error_out);

/**
 * Whether a key is there in the snapshot: `OPENDB_OK` if so, otherwise `OPENDB_NOT_FOUND`. Cheaper than a get: no
 * value is read.
 */
opendb_status opendb_snapshot_exists(const opendb_snapshot *snapshot,
                                     const void *key,
                                     size_t key_length,
                                     opendb_error **error_out);

/**
 * Makes an iterator over what the scan asks for in the snapshot, sorted by key in byte order, as it is at this
 * moment; NULL asks for every entry. Lazy: a scan of a large database holds no large memory. Free it with
 * `opendb_iterator_free`. `OPENDB_ERROR_INVALID_ARGUMENT` for a scan with a wrong size or an unknown flag.
 */
opendb_status opendb_snapshot_iter(const opendb_snapshot *snapshot,
                                   const opendb_scan *scan,
                                   opendb_iterator **iterator_out,
                                   opendb_error **error_out);

/**
 * Makes an iterator over the keys that begin with the prefix in the snapshot: `opendb_snapshot_iter` with nothing
 * but a prefix.
 */
opendb_status opendb_snapshot_scan_prefix(const opendb_snapshot *snapshot,
                                          const void *prefix,
                                          size_t prefix_length,
                                          opendb_iterator **iterator_out,
                                          opendb_error **error_out);

/**
 * Frees a snapshot. Iterators made from it go on.
 */
void opendb_snapshot_free(opendb_snapshot *snapshot);

/**
 * Opens the newest value of a key for reading piece by piece. `OPENDB_NOT_FOUND` where there is no such key.
 */
opendb_status opendb_value_reader_new(const opendb_database *database,
                                      const void *key,
                                      size_t key_length,
                                      opendb_value_reader **reader_out,
                                      opendb_error **error_out);

/**
 * Like `opendb_value_reader_new`, in a keyspace.
 */
opendb_status opendb_keyspace_value_reader(const opendb_keyspace *keyspace,
                                           const void *key,
                                           size_t key_length,
                                           opendb_value_reader **reader_out,
                                           opendb_error **error_out);

/**
 * Like `opendb_value_reader_new`, in a snapshot.
 */
opendb_status opendb_snapshot_value_reader(const opendb_snapshot *snapshot,
                                           const void *key,
                                           size_t key_length,
                                           opendb_value_reader **reader_out,
                                           opendb_error **error_out);

/**
 * The length of the value in bytes; 0 for NULL and what is no live reader.
 */
uint64_t opendb_value_reader_length(const opendb_value_reader *reader);

/**
 * Reads the next bytes of the value into the caller's buffer, as many as it has room for or are left, and tells how
 * many: 0 at the end. A value over 1 MiB that is damaged is noticed by who reads from its beginning to its end: the
 * read that would give the last byte is `OPENDB_ERROR_CORRUPTION`. After an error the buffer holds nothing of use and
 * the position is what it was.
 */
opendb_status opendb_value_reader_read(opendb_value_reader *reader,
                                       void *buffer,
                                       size_t buffer_length,
                                       uint64_t *count_out,
                                       opendb_error **error_out);

/**
 * Goes to a place of the value, counted in bytes from its beginning. Behind its end there is nothing to be read.
 */
opendb_status opendb_value_reader_seek(opendb_value_reader *reader,
                                       uint64_t position,
                                       opendb_error **error_out);

/**
 * Frees a reader.
 */
void opendb_value_reader_free(opendb_value_reader *reader);

/**
 * Begins a value of `length` bytes, which is written piece by piece and stored under the key when it is finished. Until
 * then nobody sees anything of it, and nobody waits for it either. Limits as for `opendb_put`.
 */
opendb_status opendb_value_writer_new(const opendb_database *database,
                                      const void *key,
                                      size_t key_length,
                                      uint64_t length,
                                      opendb_value_writer **writer_out,
                                      opendb_error **error_out);

/**
 * Like `opendb_value_writer_new`, in a keyspace.
 */
opendb_status opendb_keyspace_value_writer(const opendb_keyspace *keyspace,
                                           const void *key,
                                           size_t key_length,
                                           uint64_t length,
                                           opendb_value_writer **writer_out,
                                           opendb_error **error_out);

/**
 * Writes the next piece of the value: all of it or, after an error, nothing. More than the length that was announced is
 * `OPENDB_ERROR_INVALID_ARGUMENT`.
 */
opendb_status opendb_value_writer_write(opendb_value_writer *writer,
                                        const void *piece,
                                        size_t piece_length,
                                        opendb_error **error_out);

/**
 * Stores the value, all of which was written, under its key. The handle is consumed in every case; after an error
 * nothing of the value is there.
 */
opendb_status opendb_value_writer_finish(opendb_value_writer *writer,
                                         opendb_error **error_out);

/**
 * Like `opendb_value_writer_finish`, with a durability for this commit.
 */
opendb_status opendb_value_writer_finish_with(opendb_value_writer *writer,
                                              opendb_durability durability,
                                              opendb_error **error_out);

/**
 * Frees a writer. A value that was not finished is given up.
 */
void opendb_value_writer_free(opendb_value_writer *writer);

/**
 * Gives back, at once, the room of everything that was overwritten or deleted. Without this call the same goes on in the
 * background whenever there is enough of it. Reads and writes go on meanwhile. `progress` may be NULL; `user_data` is
 * handed to it as it is. `compaction` is filled and may be NULL. `OPENDB_ERROR_NO_SPACE` where there is no room for the
 * copies, `OPENDB_ERROR_IO` from the device, `OPENDB_ERROR_CORRUPTION` where a segment cannot be read; what was done
 * before stays done.
 */
opendb_status opendb_compact(const opendb_database *database,
                             opendb_progress progress,
                             void *user_data,
                             opendb_compaction *compaction,
                             opendb_error **error_out);

/**
 * Looks at everything: reads and checks every record, follows every entry of the index and every key of the order, and
 * compares what is counted. Takes about as long as reading the whole database; reads and writes go on, and compaction
 * waits. What is found to be wrong is no error but in the result.
 */
opendb_status opendb_verify(const opendb_database *database,
                            opendb_verification **verification_out,
                            opendb_error **error_out);

/**
 * Segments whose records were all read and checked; 0 for NULL and what is no live verification.
 */
uint64_t opendb_verification_segments(const opendb_verification *verification);

/**
 * Records that were read and checked, live or not; 0 for NULL and what is no live verification.
 */
uint64_t opendb_verification_records(const opendb_verification *verification);

/**
 * Keys that were found in the index, in the order and in the log; 0 for NULL and what is no live verification.
 */
uint64_t opendb_verification_keys(const opendb_verification *verification);

/**
 * Whether counts were compared as well, for which nobody may write meanwhile; false for NULL and what is no live
 * verification.
 */
bool opendb_verification_counts_compared(const opendb_verification *verification);

/**
 * How much is not as it must be, counted up to 10,000: 0 where all is well. 0 also for NULL and what is no live
 * verification.
 */
size_t opendb_verification_violations(const opendb_verification *verification);

/**
 * Serial of the segment of a violation, counted from 0; 0 where it is of none, where there is no such violation, for NULL
 * and for what is no live verification.
 */
uint64_t opendb_violation_segment(const opendb_verification *verification,
                                  size_t index);

/**
 * Byte offset of a violation in its segment; 0 where it is of no place and where `opendb_violation_segment` is 0.
 */
uint64_t opendb_violation_offset(const opendb_verification *verification,
                                 size_t index);

/**
 * What is wrong: UTF-8 with a zero byte at its end. It lives until the verification is freed. NULL where there is no such
 * violation, for NULL and for what is no live verification.
 */
const char *opendb_violation_reason(const opendb_verification *verification,
                                    size_t index);

/**
 * Frees a verification and the reasons in it.
 */
void opendb_verification_free(opendb_verification *verification);

/**
 * Makes a backup: a database of its own in the directory `path`, which is created or must be empty, with everything that
 * was written before the call. Reads and writes go on, and compaction waits. Files that are not written to any more are
 * shared with the backup where both directories are on one filesystem that can do that, and are otherwise copied: a
 * backup that is to outlive the device belongs on another one. What is interrupted leaves a directory that is no
 * database; empty it before it is used again. `opendb_verify` of the backup tells whether its bytes are whole. `result`
 * is filled and may be NULL. `OPENDB_ERROR_INVALID_ARGUMENT` for a directory that is not empty or is inside of the
 * database's own, `OPENDB_ERROR_LOCKED` while somebody else has it, `OPENDB_ERROR_NO_SPACE` and `OPENDB_ERROR_IO` from
 * the system.
 */
opendb_status opendb_backup(const opendb_database *database,
                            const char *path,
                            opendb_backup_result *result,
                            opendb_error **error_out);

/**
 * Makes a new database in the directory `into` of everything that can be read of the damaged one in `damaged`, and lists
 * in `lost_out` what cannot, as text for people: at most 10,000 places, and then how many more there are; empty where
 * nothing was lost. Free the list with `opendb_names_free`. The damaged directory is not changed, but for its lock file;
 * its manifest need not even be there. Where a commit is lost, its keys have the values that they had before, or none,
 * and keys that it deleted come back. Keys are held in memory meanwhile. `into` is created or must be empty; after an
 * error it holds a part of what was read. `result` is filled and may be NULL. `OPENDB_ERROR_IO` where there is no
 * database, `OPENDB_ERROR_LOCKED` while somebody has it open, `OPENDB_ERROR_UNSUPPORTED` for a newer format,
 * `OPENDB_ERROR_CORRUPTION` where not one segment tells whose it is, `OPENDB_ERROR_INVALID_ARGUMENT` for a new directory
 * that is not empty or is inside of the damaged one.
 */
opendb_status opendb_salvage(const char *damaged,
                             const char *into,
                             opendb_salvage_result *result,
                             opendb_names **lost_out,
                             opendb_error **error_out);

/**
 * The version of the library that is linked, such as `0.1.0`; `OPENDB_VERSION` is that of the header. The text is
 * never NULL and lives for ever.
 */
const char *opendb_version(void);

/**
 * Counts the handles of every type that are live in this process: 0 where everything was freed. Handles are not
 * memory of the caller, so a leak detector does not see those that were forgotten; this is for tests that want
 * to.
 */
size_t opendb_handles_live(void);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* OPENDB_H */
