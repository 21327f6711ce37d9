/*
 * The C door as a driver: one command a line on standard input, one answer a line on standard output.
 *
 * The protocol stands in tests/src/protocol.rs. This program knows the calls of the header and no right answers.
 * cc -Wall -Wextra -Werror -I ffi/include tests/drivers/c_driver.c -L <libraries> -lopendb -o c_driver
 */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "opendb.h"

#define OBJECTS_MAX 256
#define WORDS_MAX 128

typedef enum { NOTHING, DATABASE, KEYSPACE, TRANSACTION, SNAPSHOT, BATCH, ITERATOR, READER, WRITER } kind;

/* A handle under its name. Those of keyspaces are kept with their database, so that they are used after a close too. */
typedef struct {
    kind kind;
    char *name;
    const void *database;
    void *handle;
    bool keys_only;
} object;

typedef struct {
    uint8_t *data;
    size_t length;
} bytes;

/* Where an answer is put together. */
static FILE *out;
static object objects[OBJECTS_MAX];
static char *words[WORDS_MAX];
static size_t word_count;
/* Bytes that were decoded for the command at hand. */
static void *decoded[WORDS_MAX];
static size_t decoded_count;

static _Noreturn void die(const char *why, const char *what) {
    /* The runner shows the line and sees that the driver is gone. */
    printf("failure %s %s\n", why, what);
    exit(1);
}

static void *must(void *memory) {
    if (memory == NULL) die("no", "memory");
    return memory;
}

static const char *word(size_t at) {
    if (at >= word_count) die("the command ends too early:", words[0]);
    return words[at];
}

static int digit(char letter) {
    if (letter >= '0' && letter <= '9') return letter - '0';
    if (letter >= 'a' && letter <= 'f') return letter - 'a' + 10;
    die("not a word of bytes in", words[0]);
}

/* Zero-terminated as well, so that names and paths can be used as they are. */
static bytes decode(size_t at) {
    const char *text = word(at);
    size_t length = strlen(text) / 2;
    if (text[0] != 'x') die("not a word of bytes in", words[0]);
    bytes result = {must(malloc(length + 1)), length};
    decoded[decoded_count++] = result.data;
    for (size_t index = 0; index < length; index++) {
        result.data[index] = (uint8_t)(digit(text[1 + 2 * index]) << 4 | digit(text[2 + 2 * index]));
    }
    result.data[length] = 0;
    return result;
}

static const char *decode_text(size_t at) { return (const char *)decode(at).data; }

static void print_bytes(const uint8_t *data, size_t length) {
    static const char digits[] = "0123456789abcdef";
    fputc('x', out);
    for (size_t index = 0; index < length; index++) {
        fputc(digits[data[index] >> 4], out);
        fputc(digits[data[index] & 15], out);
    }
}

static object *find(const char *name, const void *database) {
    for (size_t at = 0; at < OBJECTS_MAX; at++) {
        if (objects[at].kind != NOTHING && objects[at].database == database && strcmp(objects[at].name, name) == 0) {
            return &objects[at];
        }
    }
    return NULL;
}

static object *named(size_t at) {
    object *found = find(word(at), NULL);
    if (found == NULL) die("there is no object", word(at));
    return found;
}

static void release(object *old) {
    switch (old->kind) {
    case DATABASE:
        for (size_t at = 0; at < OBJECTS_MAX; at++) {
            if (objects[at].kind == KEYSPACE && objects[at].database == old) release(&objects[at]);
        }
        opendb_close(old->handle, NULL);
        break;
    case KEYSPACE: opendb_keyspace_free(old->handle); break;
    case TRANSACTION: opendb_transaction_free(old->handle); break;
    case SNAPSHOT: opendb_snapshot_free(old->handle); break;
    case BATCH: opendb_batch_free(old->handle); break;
    case ITERATOR: opendb_iterator_free(old->handle); break;
    case READER: opendb_value_reader_free(old->handle); break;
    case WRITER: opendb_value_writer_free(old->handle); break;
    case NOTHING: break;
    }
    free(old->name);
    *old = (object){0};
}

static void keep(const char *name, kind what, const void *database, void *handle, bool keys_only) {
    object *place = find(name, database);
    if (place != NULL) release(place);
    for (place = objects; place->kind != NOTHING; place++) {
        if (place == &objects[OBJECTS_MAX - 1]) die("too many objects at", name);
    }
    *place = (object){what, must(strdup(name)), database, handle, keys_only};
}

/* The status of a call as an answer, for calls that have no result. */
static void answer(opendb_status status, opendb_error *error) {
    if (status == OPENDB_OK) {
        fprintf(out, "ok");
    } else {
        fprintf(out, "error %d %s", status, opendb_status_name(status));
        if (opendb_error_kind(error) != status) die("status and error differ in", words[0]);
    }
    opendb_error_free(error);
}

/* The answer of a call that gives a value, which is freed here. */
static void print_value(opendb_status status, opendb_bytes value, opendb_error *error) {
    if (status > OPENDB_OK) return answer(status, error);
    if (status == OPENDB_NOT_FOUND) fprintf(out, "none");
    else {
        fprintf(out, "value ");
        print_bytes(value.data, value.length);
    }
    opendb_bytes_free(&value);
}

/* The keyspace of a database, opened at its first use; NULL is "default", which the database's own calls serve. */
static opendb_status keyspace_of(object *database, const char *name, opendb_keyspace **found, opendb_error **error) {
    *found = NULL;
    *error = NULL;
    if (strcmp(name, "default") == 0) return OPENDB_OK;
    object *known = find(name, database);
    if (known == NULL) {
        opendb_status status = opendb_keyspace_open(database->handle, name, found, error);
        if (status == OPENDB_OK) keep(name, KEYSPACE, database, *found, false);
        return status;
    }
    *found = known->handle;
    return OPENDB_OK;
}

static opendb_durability durability(const char *text) {
    return strcmp(text, "sync") == 0 ? OPENDB_DURABILITY_SYNC : OPENDB_DURABILITY_BUFFERED;
}

static bool waits_as_opened(const char *text) { return strcmp(text, "default") == 0; }

static void do_open(void) {
    opendb_options *options = must(opendb_options_new());
    opendb_error *error = NULL;
    opendb_status status = OPENDB_OK;
    for (size_t at = 3; at < word_count && status == OPENDB_OK; at++) {
        char *value = strchr(words[at], '=');
        if (value == NULL) die("not a setting:", words[at]);
        *value++ = 0;
        const char *name = words[at];
        bool flag = strcmp(value, "true") == 0;
        uint64_t number = strtoull(value, NULL, 10);
        opendb_append_mode mode = strcmp(value, "mapped") == 0  ? OPENDB_APPEND_MODE_MAPPED
                                  : strcmp(value, "write") == 0 ? OPENDB_APPEND_MODE_WRITE
                                                                : OPENDB_APPEND_MODE_AUTO;
        if (strcmp(name, "create") == 0) status = opendb_options_set_create(options, flag, &error);
        else if (strcmp(name, "mapped_reads") == 0) status = opendb_options_set_mapped_reads(options, flag, &error);
        else if (strcmp(name, "read_damaged") == 0) status = opendb_options_set_read_damaged(options, flag, &error);
        else if (strcmp(name, "read_only") == 0) status = opendb_options_set_read_only(options, flag, &error);
        else if (strcmp(name, "lock_timeout") == 0) status = opendb_options_set_lock_timeout(options, number, &error);
        else if (strcmp(name, "cache_bytes") == 0) status = opendb_options_set_cache_bytes(options, number, &error);
        else if (strcmp(name, "segment_bytes") == 0) status = opendb_options_set_segment_bytes(options, number, &error);
        else if (strcmp(name, "append") == 0) status = opendb_options_set_append_mode(options, mode, &error);
        else if (strcmp(name, "durability") == 0)
            status = opendb_options_set_durability(options, durability(value), &error);
        else die("unknown setting", name);
    }
    opendb_database *database = NULL;
    if (status == OPENDB_OK) status = opendb_open(decode_text(2), options, &database, &error);
    opendb_options_free(options);
    if (status == OPENDB_OK) keep(word(1), DATABASE, NULL, database, false);
    answer(status, error);
}

static void do_make(const char *verb) {
    const opendb_database *database = named(2)->handle;
    opendb_error *error = NULL;
    void *made = NULL;
    kind what;
    opendb_status status;
    if (strcmp(verb, "begin") == 0) {
        what = TRANSACTION;
        status = opendb_transaction_begin(database, (opendb_transaction **)&made, &error);
    } else if (strcmp(verb, "snapshot") == 0) {
        what = SNAPSHOT;
        status = opendb_snapshot_new(database, (opendb_snapshot **)&made, &error);
    } else {
        what = BATCH;
        status = opendb_batch_new(database, (opendb_batch **)&made, &error);
    }
    if (status == OPENDB_OK) keep(word(1), what, NULL, made, false);
    answer(status, error);
}

static void do_end(const char *verb) {
    object *target = named(1);
    opendb_error *error = NULL;
    opendb_status status = OPENDB_OK;
    bool plain = word_count < 3 || waits_as_opened(words[2]);
    if (strcmp(verb, "rollback") == 0) {
        status = opendb_transaction_rollback(target->handle, &error);
    } else if (strcmp(verb, "commit") == 0 && target->kind == TRANSACTION) {
        status = plain ? opendb_transaction_commit(target->handle, &error)
                       : opendb_transaction_commit_with(target->handle, durability(words[2]), &error);
    } else if (strcmp(verb, "commit") == 0 && target->kind == WRITER) {
        status = plain ? opendb_value_writer_finish(target->handle, &error)
                       : opendb_value_writer_finish_with(target->handle, durability(words[2]), &error);
    } else if (strcmp(verb, "commit") == 0) {
        status = plain ? opendb_batch_commit(target->handle, &error)
                       : opendb_batch_commit_with(target->handle, durability(words[2]), &error);
    }
    release(target);
    answer(status, error);
}

static void do_database(const char *verb) {
    object *target = named(1);
    opendb_error *error = NULL;
    opendb_status status;
    opendb_names *names = NULL;
    opendb_keyspace *keyspace = NULL;
    uint64_t count = 0;
    if (strcmp(verb, "close") == 0) {
        status = opendb_close(target->handle, &error);
        answer(status, error);
    } else if (strcmp(verb, "flush") == 0) {
        status = opendb_flush(target->handle, &error);
        answer(status, error);
    } else if (strcmp(verb, "refresh") == 0) {
        status = opendb_refresh(target->handle, &error);
        answer(status, error);
    } else if (strcmp(verb, "compact") == 0) {
        status = opendb_compact(target->handle, NULL, NULL, NULL, &error);
        answer(status, error);
    } else if (strcmp(verb, "verify") == 0) {
        opendb_verification *verification = NULL;
        status = opendb_verify(target->handle, &verification, &error);
        if (status != OPENDB_OK) return answer(status, error);
        fprintf(out, "count %zu", opendb_verification_violations(verification));
        opendb_verification_free(verification);
    } else if (strcmp(verb, "keyspace") == 0) {
        status = opendb_keyspace_open(target->handle, decode_text(2), &keyspace, &error);
        if (status == OPENDB_OK) keep(decode_text(2), KEYSPACE, target, keyspace, false);
        answer(status, error);
    } else if (strcmp(verb, "compress") == 0) {
        bool packs = strcmp(word(3), "lz4") == 0;
        opendb_compression compression = packs ? OPENDB_COMPRESSION_LZ4 : OPENDB_COMPRESSION_NONE;
        status = opendb_keyspace_open_with(target->handle, decode_text(2), compression, &keyspace, &error);
        if (status == OPENDB_OK) keep(decode_text(2), KEYSPACE, target, keyspace, false);
        answer(status, error);
    } else if (strcmp(verb, "keyspaces") == 0) {
        status = opendb_keyspaces(target->handle, &names, &error);
        if (status != OPENDB_OK) return answer(status, error);
        fprintf(out, "names");
        for (size_t at = 0; at < opendb_names_length(names); at++) {
            const char *name = opendb_names_at(names, at);
            fputc(' ', out);
            print_bytes((const uint8_t *)name, strlen(name));
        }
        opendb_names_free(names);
    } else {
        status = keyspace_of(target, decode_text(2), &keyspace, &error);
        if (status == OPENDB_OK) {
            status = keyspace == NULL ? opendb_len(target->handle, &count, &error)
                                      : opendb_keyspace_len(keyspace, &count, &error);
        }
        if (status != OPENDB_OK) return answer(status, error);
        fprintf(out, "count %llu", (unsigned long long)count);
    }
}

static void do_write(bool put) {
    object *target = named(1);
    const char *name = decode_text(2);
    bytes key = decode(3), value = put ? decode(4) : (bytes){NULL, 0};
    const char *wait = word(put ? 5 : 4);
    opendb_error *error = NULL;
    opendb_keyspace *keyspace = NULL;
    opendb_status status = OPENDB_OK;
    if (target->kind == DATABASE) status = keyspace_of(target, name, &keyspace, &error);
    if (status != OPENDB_OK) return answer(status, error);
    const void *k = key.data, *v = value.data;
    void *h = keyspace != NULL ? keyspace : target->handle;
    opendb_durability d = durability(wait);
    if (target->kind == TRANSACTION) {
        status = put ? opendb_transaction_put(h, name, k, key.length, v, value.length, &error)
                     : opendb_transaction_delete(h, name, k, key.length, &error);
    } else if (target->kind == BATCH) {
        status = put ? opendb_batch_put(h, name, k, key.length, v, value.length, &error)
                     : opendb_batch_delete(h, name, k, key.length, &error);
    } else if (keyspace != NULL && waits_as_opened(wait)) {
        status = put ? opendb_keyspace_put(h, k, key.length, v, value.length, &error)
                     : opendb_keyspace_delete(h, k, key.length, &error);
    } else if (keyspace != NULL) {
        status = put ? opendb_keyspace_put_with(h, k, key.length, v, value.length, d, &error)
                     : opendb_keyspace_delete_with(h, k, key.length, d, &error);
    } else if (waits_as_opened(wait)) {
        status = put ? opendb_put(h, k, key.length, v, value.length, &error)
                     : opendb_delete(h, k, key.length, &error);
    } else {
        status = put ? opendb_put_with(h, k, key.length, v, value.length, d, &error)
                     : opendb_delete_with(h, k, key.length, d, &error);
    }
    answer(status, error);
}

/* swap, take and increment: each reads and writes a key in one step. */
static void do_update(const char *verb) {
    bool swap = strcmp(verb, "swap") == 0, takes = strcmp(verb, "take") == 0;
    object *target = named(1);
    bytes key = decode(3);
    const char *wait = word(swap ? 6 : takes ? 4 : 5);
    opendb_error *error = NULL;
    opendb_keyspace *keyspace = NULL;
    opendb_status status = keyspace_of(target, decode_text(2), &keyspace, &error);
    if (status != OPENDB_OK) return answer(status, error);
    const void *k = key.data;
    size_t n = key.length;
    void *h = keyspace != NULL ? keyspace : target->handle;
    opendb_durability d = durability(wait);
    bool plain = waits_as_opened(wait);
    if (swap) {
        opendb_view views[2];
        const opendb_view *e[2] = {NULL, NULL};
        for (size_t i = 0; i < 2; i++) {
            if (strcmp(word(4 + i), "-") == 0) continue;
            bytes value = decode(4 + i);
            views[i] = (opendb_view){value.data, value.length};
            e[i] = &views[i];
        }
        if (keyspace != NULL && plain) status = opendb_keyspace_compare_and_swap(h, k, n, e[0], e[1], &error);
        else if (keyspace != NULL) status = opendb_keyspace_compare_and_swap_with(h, k, n, e[0], e[1], d, &error);
        else if (plain) status = opendb_compare_and_swap(h, k, n, e[0], e[1], &error);
        else status = opendb_compare_and_swap_with(h, k, n, e[0], e[1], d, &error);
        if (status > OPENDB_OK) return answer(status, error);
        fprintf(out, status == OPENDB_OK ? "yes" : "no");
    } else if (takes) {
        opendb_bytes value;
        if (keyspace != NULL && plain) status = opendb_keyspace_take(h, k, n, &value, &error);
        else if (keyspace != NULL) status = opendb_keyspace_take_with(h, k, n, d, &value, &error);
        else if (plain) status = opendb_take(h, k, n, &value, &error);
        else status = opendb_take_with(h, k, n, d, &value, &error);
        print_value(status, value, error);
    } else {
        int64_t by = strtoll(word(4), NULL, 10), sum = 0;
        if (keyspace != NULL && plain) status = opendb_keyspace_increment(h, k, n, by, &sum, &error);
        else if (keyspace != NULL) status = opendb_keyspace_increment_with(h, k, n, by, d, &sum, &error);
        else if (plain) status = opendb_increment(h, k, n, by, &sum, &error);
        else status = opendb_increment_with(h, k, n, by, d, &sum, &error);
        if (status != OPENDB_OK) return answer(status, error);
        fprintf(out, "number %lld", (long long)sum);
    }
}

/* What a read goes to: a keyspace of a database or snapshot, made for it where it has to be. */
typedef struct {
    object *target;
    const char *name;
    opendb_keyspace *keyspace;
    opendb_snapshot *snapshot;
    opendb_snapshot *made;
} place;

static opendb_status locate(size_t object_at, size_t name_at, place *at, opendb_error **error) {
    *at = (place){named(object_at), decode_text(name_at), NULL, NULL, NULL};
    if (at->target->kind == DATABASE) return keyspace_of(at->target, at->name, &at->keyspace, error);
    if (at->target->kind != SNAPSHOT) return OPENDB_OK;
    at->snapshot = at->target->handle;
    if (strcmp(at->name, "default") == 0) return OPENDB_OK;
    opendb_status status = opendb_snapshot_keyspace(at->target->handle, at->name, &at->made, error);
    at->snapshot = at->made;
    return status;
}

static void do_get(bool exists) {
    place at;
    opendb_error *error = NULL;
    opendb_bytes value = {NULL, 0};
    opendb_status status = locate(1, 2, &at, &error);
    bytes key = decode(3);
    const void *k = key.data;
    size_t n = key.length;
    if (status != OPENDB_OK) return answer(status, error);
    if (at.target->kind == TRANSACTION) {
        const opendb_transaction *t = at.target->handle;
        status = exists ? opendb_transaction_exists(t, at.name, k, n, &error)
                        : opendb_transaction_get(t, at.name, k, n, &value, &error);
    } else if (at.snapshot != NULL) {
        status = exists ? opendb_snapshot_exists(at.snapshot, k, n, &error)
                        : opendb_snapshot_get(at.snapshot, k, n, &value, &error);
    } else if (at.keyspace != NULL) {
        status = exists ? opendb_keyspace_exists(at.keyspace, k, n, &error)
                        : opendb_keyspace_get(at.keyspace, k, n, &value, &error);
    } else {
        status = exists ? opendb_exists(at.target->handle, k, n, &error)
                        : opendb_get(at.target->handle, k, n, &value, &error);
    }
    opendb_snapshot_free(at.made);
    if (!exists) return print_value(status, value, error);
    if (status > OPENDB_OK) return answer(status, error);
    fprintf(out, status == OPENDB_OK ? "yes" : "no");
}

static void do_many(void) {
    place at;
    opendb_error *error = NULL;
    opendb_values *values = NULL;
    opendb_status status = locate(1, 2, &at, &error);
    if (status != OPENDB_OK) return answer(status, error);
    size_t count = word_count > 3 ? word_count - 3 : 0;
    opendb_view *keys = must(calloc(count + 1, sizeof(opendb_view)));
    for (size_t i = 0; i < count; i++) {
        bytes key = decode(i + 3);
        keys[i] = (opendb_view){key.data, key.length};
    }
    if (at.target->kind == TRANSACTION) {
        status = opendb_transaction_get_many(at.target->handle, at.name, keys, count, &values, &error);
    } else if (at.snapshot != NULL) status = opendb_snapshot_get_many(at.snapshot, keys, count, &values, &error);
    else if (at.keyspace != NULL) status = opendb_keyspace_get_many(at.keyspace, keys, count, &values, &error);
    else status = opendb_get_many(at.target->handle, keys, count, &values, &error);
    opendb_snapshot_free(at.made);
    free(keys);
    if (status != OPENDB_OK) return answer(status, error);
    fprintf(out, "values");
    for (size_t i = 0; i < opendb_values_length(values); i++) {
        opendb_view value;
        bool there = opendb_values_at(values, i, &value, NULL) == OPENDB_OK;
        fprintf(out, there ? " " : " -");
        if (there) print_bytes(value.data, value.length);
    }
    opendb_values_free(values);
}

static void do_reader(void) {
    place at;
    opendb_error *error = NULL;
    opendb_value_reader *reader = NULL;
    opendb_status status = locate(2, 3, &at, &error);
    bytes key = decode(4);
    if (status != OPENDB_OK) return answer(status, error);
    if (at.snapshot != NULL) status = opendb_snapshot_value_reader(at.snapshot, key.data, key.length, &reader, &error);
    else if (at.keyspace != NULL) {
        status = opendb_keyspace_value_reader(at.keyspace, key.data, key.length, &reader, &error);
    } else status = opendb_value_reader_new(at.target->handle, key.data, key.length, &reader, &error);
    opendb_snapshot_free(at.made);
    if (status == OPENDB_OK) keep(word(1), READER, NULL, reader, false);
    if (status == OPENDB_NOT_FOUND) fprintf(out, "none");
    else answer(status, error);
}

static void do_read(void) {
    opendb_value_reader *reader = named(1)->handle;
    uint64_t offset = strtoull(word(2), NULL, 10), length = strtoull(word(3), NULL, 10), count = 0;
    opendb_error *error = NULL;
    uint8_t *piece = must(malloc(length + 1));
    opendb_status status = opendb_value_reader_seek(reader, offset, &error);
    if (status == OPENDB_OK) status = opendb_value_reader_read(reader, piece, length, &count, &error);
    if (status == OPENDB_OK) {
        fprintf(out, "value ");
        print_bytes(piece, count);
    } else answer(status, error);
    free(piece);
}

static void do_writer(void) {
    object *target = named(2);
    bytes key = decode(4);
    uint64_t length = strtoull(word(5), NULL, 10);
    opendb_error *error = NULL;
    opendb_keyspace *keyspace = NULL;
    opendb_value_writer *writer = NULL;
    opendb_status status = keyspace_of(target, decode_text(3), &keyspace, &error);
    if (status != OPENDB_OK) return answer(status, error);
    status = keyspace == NULL
                 ? opendb_value_writer_new(target->handle, key.data, key.length, length, &writer, &error)
                 : opendb_keyspace_value_writer(keyspace, key.data, key.length, length, &writer, &error);
    if (status == OPENDB_OK) keep(word(1), WRITER, NULL, writer, false);
    answer(status, error);
}

static void do_piece(void) {
    bytes piece = decode(2);
    opendb_error *error = NULL;
    opendb_status status = opendb_value_writer_write(named(1)->handle, piece.data, piece.length, &error);
    answer(status, error);
}

static void bound(size_t at, const void **data, size_t *length) {
    if (strcmp(word(at), "-") == 0) return;
    bytes value = decode(at);
    *data = value.data;
    *length = value.length;
}

static opendb_scan scan_at(size_t at, bool keys_only) {
    opendb_scan scan = OPENDB_SCAN_INIT;
    bound(at, &scan.prefix, &scan.prefix_length);
    bound(at + 1, &scan.from, &scan.from_length);
    bound(at + 2, &scan.until, &scan.until_length);
    bound(at + 3, &scan.start_after, &scan.start_after_length);
    if (strcmp(word(at + 4), "-") != 0) scan.limit = strtoull(word(at + 4), NULL, 10);
    if (strcmp(word(at + 5), "reverse") == 0) scan.flags |= OPENDB_SCAN_REVERSE;
    if (keys_only) scan.flags |= OPENDB_SCAN_KEYS_ONLY;
    return scan;
}

static opendb_status iterate(const place *at, const opendb_scan *scan, opendb_iterator **iterator, opendb_error **error) {
    if (at->target->kind == TRANSACTION) return opendb_transaction_iter(at->target->handle, at->name, scan, iterator, error);
    if (at->snapshot != NULL) return opendb_snapshot_iter(at->snapshot, scan, iterator, error);
    if (at->keyspace != NULL) return opendb_keyspace_iter(at->keyspace, scan, iterator, error);
    return opendb_iter(at->target->handle, scan, iterator, error);
}

static opendb_status prefixed(const place *at, bytes prefix, opendb_iterator **iterator, opendb_error **error) {
    const void *p = prefix.data;
    size_t n = prefix.length;
    if (at->target->kind == TRANSACTION) {
        return opendb_transaction_scan_prefix(at->target->handle, at->name, p, n, iterator, error);
    }
    if (at->snapshot != NULL) return opendb_snapshot_scan_prefix(at->snapshot, p, n, iterator, error);
    if (at->keyspace != NULL) return opendb_keyspace_scan_prefix(at->keyspace, p, n, iterator, error);
    return opendb_scan_prefix(at->target->handle, p, n, iterator, error);
}

/* Takes so many entries. The line is put together before it is printed, since an error may come in its middle. */
static void take(opendb_iterator *iterator, bool keys_only, uint64_t count) {
    opendb_error *error = NULL;
    opendb_status status = OPENDB_OK;
    char *line = NULL;
    size_t length = 0;
    out = must(open_memstream(&line, &length));
    fputs(keys_only ? "keys" : "entries", out);
    while (count-- > 0) {
        opendb_view key, value;
        status = opendb_iterator_next(iterator, &key, &value, &error);
        if (status != OPENDB_OK) break;
        fputc(' ', out);
        print_bytes(key.data, key.length);
        if (keys_only) continue;
        fputc('=', out);
        print_bytes(value.data, value.length);
    }
    fclose(out);
    out = stdout;
    if (status > OPENDB_OK) answer(status, error);
    else fwrite(line, 1, length, out);
    free(line);
}

/* scan, iter, keys and cursor: a cursor is kept, the others are read to their end. */
static void do_scan(const char *verb) {
    bool cursor = strcmp(verb, "cursor") == 0;
    bool keys_only = strcmp(verb, "keys") == 0 || (cursor && strcmp(word(4), "keys") == 0);
    place at;
    opendb_error *error = NULL;
    opendb_iterator *iterator = NULL;
    opendb_status status = locate(cursor ? 2 : 1, cursor ? 3 : 2, &at, &error);
    if (status == OPENDB_OK && strcmp(verb, "scan") == 0) {
        status = prefixed(&at, decode(3), &iterator, &error);
    } else if (status == OPENDB_OK) {
        opendb_scan scan = scan_at(cursor ? 5 : 3, keys_only);
        status = iterate(&at, &scan, &iterator, &error);
    }
    opendb_snapshot_free(at.made);
    if (status != OPENDB_OK) return answer(status, error);
    if (cursor) {
        keep(word(1), ITERATOR, NULL, iterator, keys_only);
        return answer(status, error);
    }
    take(iterator, keys_only, UINT64_MAX);
    opendb_iterator_free(iterator);
}

static void perform(const char *verb) {
    static const char *const ends[] = {"commit", "rollback", "drop"};
    static const char *const database[] = {"close",    "flush",    "refresh",   "compact", "verify",
                                           "keyspace", "compress", "keyspaces", "len"};
    static const char *const makes[] = {"begin", "snapshot", "batch"};
    static const char *const scans[] = {"scan", "iter", "keys", "cursor"};
    static const char *const updates[] = {"swap", "take", "increment"};
#define IS_ONE_OF(list, call) \
    for (size_t at = 0; at < sizeof(list) / sizeof(list[0]); at++) \
        if (strcmp(verb, list[at]) == 0) return call
    IS_ONE_OF(ends, do_end(verb));
    IS_ONE_OF(database, do_database(verb));
    IS_ONE_OF(makes, do_make(verb));
    IS_ONE_OF(scans, do_scan(verb));
    if (strcmp(verb, "open") == 0) return do_open();
    if (strcmp(verb, "reader") == 0) return do_reader();
    if (strcmp(verb, "read") == 0) return do_read();
    if (strcmp(verb, "writer") == 0) return do_writer();
    if (strcmp(verb, "write") == 0) return do_piece();
    if (strcmp(verb, "put") == 0 || strcmp(verb, "delete") == 0) return do_write(verb[0] == 'p');
    IS_ONE_OF(updates, do_update(verb));
    if (strcmp(verb, "many") == 0) return do_many();
    if (strcmp(verb, "get") == 0 || strcmp(verb, "exists") == 0) return do_get(verb[0] == 'e');
    if (strcmp(verb, "next") == 0) {
        object *cursor = named(1);
        return take(cursor->handle, cursor->keys_only, strtoull(word(2), NULL, 10));
    }
    die("unknown verb", verb);
}

int main(void) {
    out = stdout;
    char *line = NULL;
    size_t room = 0;
    ssize_t length;
    while ((length = getline(&line, &room, stdin)) > 0) {
        if (line[length - 1] == '\n') line[length - 1] = 0;
        word_count = 0;
        for (char *next = strtok(line, " "); next != NULL && word_count < WORDS_MAX; next = strtok(NULL, " ")) {
            words[word_count++] = next;
        }
        perform(word(0));
        fputc('\n', out);
        fflush(stdout);
        while (decoded_count > 0) free(decoded[--decoded_count]);
    }
    free(line);
    for (size_t at = 0; at < OBJECTS_MAX; at++) release(&objects[at]);
    return 0;
}
