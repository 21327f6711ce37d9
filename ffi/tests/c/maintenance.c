/* Compaction, verification and backups. */
#include "check.h"

#define KEYS 500

static char value[1000];

static size_t key_of(int number, char *key) { return (size_t)snprintf(key, 32, "key %d", number); }

/* A database most of which was overwritten or deleted, with nothing sealed yet that could be compacted unasked. */
static opendb_database *worn(const char *directory, const char *name) {
    char path[4096], key[32];
    opendb_options *options = opendb_options_new();
    opendb_database *database;
    snprintf(path, sizeof path, "%s/%s", directory, name);
    OK(opendb_options_set_segment_bytes(options, 16 << 20, &error));
    OK(opendb_open(path, options, &database, &error));
    opendb_options_free(options);
    for (int turn = 0; turn < 4; turn++) {
        memset(value, turn, sizeof value);
        for (int number = 0; number < KEYS; number++) {
            OK(opendb_put(database, key, key_of(number, key), value, sizeof value, &error));
        }
    }
    for (int number = 1; number < KEYS; number += 2) {
        OK(opendb_delete(database, key, key_of(number, key), &error));
    }
    return database;
}

/* The database is whole and has what `worn` left. */
static void check(opendb_database *database) {
    char key[32];
    uint64_t count;
    opendb_bytes found;
    opendb_verification *verification;
    OK(opendb_verify(database, &verification, &error));
    CHECK(opendb_verification_violations(verification) == 0 && opendb_verification_counts_compared(verification));
    CHECK(opendb_verification_keys(verification) == KEYS / 2 && opendb_verification_segments(verification) > 0);
    CHECK(opendb_verification_records(verification) >= KEYS / 2);
    CHECK(opendb_violation_reason(verification, 0) == NULL && opendb_violation_segment(verification, 0) == 0);
    CHECK(opendb_violation_offset(verification, 0) == 0);
    opendb_verification_free(verification);
    CHECK(opendb_verification_keys(verification) == 0 && !opendb_verification_counts_compared(verification));
    OK(opendb_len(database, &count, &error));
    CHECK(count == KEYS / 2);
    for (int number = 0; number < KEYS; number += 2) {
        OK(opendb_get(database, key, key_of(number, key), &found, &error));
        CHECK(found.length == sizeof value && found.data[0] == 3);
        opendb_bytes_free(&found);
    }
}

static void compaction(const char *directory) {
    opendb_compaction done = OPENDB_COMPACTION_INIT;
    opendb_stats before = OPENDB_STATS_INIT, after = OPENDB_STATS_INIT;
    opendb_database *database = worn(directory, "compaction");
    opendb_snapshot *snapshot;
    opendb_bytes found;
    OK(opendb_stats_read(database, &before, &error));
    OK(opendb_compact(database, NULL, NULL, &done, &error));
    OK(opendb_stats_read(database, &after, &error));
    CHECK(done.size == sizeof done && done.segments_removed == 1 && done.bytes_freed > before.log_bytes);
    CHECK(done.bytes_copied > 0 && after.bytes_copied == before.bytes_copied + done.bytes_copied);
    CHECK(after.dead_bytes < before.dead_bytes / 4);
    CHECK(after.compactions == before.compactions + 1 && after.checkpoints > before.checkpoints);
    CHECK(before.space_amplification > 2 && after.write_amplification > before.write_amplification);
    check(database);
    /* A snapshot keeps its moment, and nobody has to look at what was done. */
    OK(opendb_snapshot_new(database, &snapshot, &error));
    OK(opendb_delete(database, B("key 0"), &error));
    OK(opendb_compact(database, NULL, NULL, NULL, &error));
    OK(opendb_snapshot_get(snapshot, B("key 0"), &found, &error));
    CHECK(found.length == sizeof value);
    opendb_bytes_free(&found);
    opendb_snapshot_free(snapshot);
    OK(opendb_put(database, B("key 0"), value, sizeof value, &error));
    OK(opendb_close(database, &error));
    database = open_below(directory, "compaction");
    check(database);
    OK(opendb_close(database, &error));
}

typedef struct {
    opendb_database *database;
    uint64_t last, total;
    int calls;
    bool answer;
} report;

static bool note(uint64_t bytes_done, uint64_t bytes_total, void *user_data) {
    report *to = user_data;
    CHECK(bytes_done >= to->last && bytes_done <= bytes_total);
    to->last = bytes_done;
    to->total = bytes_total;
    to->calls++;
    /* The database is there for reading and writing meanwhile. */
    OK(opendb_put(to->database, B("key 0"), value, sizeof value, &error));
    OK(opendb_exists(to->database, B("key 0"), &error));
    return to->answer;
}

static void progress(const char *directory) {
    opendb_compaction done = OPENDB_COMPACTION_INIT;
    opendb_database *database = worn(directory, "progress");
    report stopped = {database, 0, 0, 0, false}, whole = {database, 0, 0, 0, true};
    OK(opendb_compact(database, note, &stopped, &done, &error));
    CHECK(done.segments_removed == 0 && stopped.calls == 1);
    OK(opendb_close(database, &error));
    whole.database = database = worn(directory, "progress again");
    OK(opendb_compact(database, note, &whole, &done, &error));
    CHECK(done.segments_removed >= 1 && whole.calls >= 3 && whole.last == whole.total);
    check(database);
    OK(opendb_close(database, &error));
}

/* The struct is filled as far as its size goes, and refused without one. */
static void sizes(const char *directory) {
    opendb_compaction done = OPENDB_COMPACTION_INIT;
    opendb_backup_result result = OPENDB_BACKUP_RESULT_INIT;
    opendb_database *database = worn(directory, "sizes");
    char path[4096];
    done.size = sizeof(size_t) + sizeof(uint64_t);
    done.bytes_copied = 7;
    OK(opendb_compact(database, NULL, NULL, &done, &error));
    CHECK(done.size == sizeof(size_t) + sizeof(uint64_t) && done.segments_removed == 1 && done.bytes_copied == 7);
    done.size = 1;
    REFUSED("compaction.size is 1: begin with OPENDB_COMPACTION_INIT",
            opendb_compact(database, NULL, NULL, &done, &error));
    result.size = 1;
    snprintf(path, sizeof path, "%s/never", directory);
    REFUSED("result.size is 1: begin with OPENDB_BACKUP_RESULT_INIT",
            opendb_backup(database, path, &result, &error));
    OK(opendb_close(database, &error));
}

static void damage(const char *directory) {
    static const char text[] = "the value of it", name[] = "0000000000000001.segment";
    static char contents[1 << 20];
    char path[4096], key[32];
    opendb_options *options = opendb_options_new();
    opendb_database *database;
    opendb_verification *verification;
    bool is_told = false;
    snprintf(path, sizeof path, "%s/damage", directory);
    OK(opendb_options_set_append_mode(options, OPENDB_APPEND_MODE_WRITE, &error));
    OK(opendb_open(path, options, &database, &error));
    opendb_options_free(options);
    for (int number = 0; number < KEYS; number++) {
        OK(opendb_put(database, key, key_of(number, key), B(text), &error));
    }
    OK(opendb_flush(database, &error));
    snprintf(path, sizeof path, "%s/damage/%s", directory, name);
    FILE *file = fopen(path, "r+b");
    CHECK(file != NULL);
    size_t length = fread(contents, 1, sizeof contents, file), at = 10000;
    while (at < length - sizeof text && memcmp(contents + at, text, sizeof text - 1) != 0) at++;
    CHECK(at < length - sizeof text && fseek(file, (long)at, SEEK_SET) == 0 && fputc('T', file) == 'T');
    fclose(file);
    OK(opendb_verify(database, &verification, &error));
    CHECK(opendb_verification_violations(verification) > 0);
    for (size_t index = 0; index < opendb_verification_violations(verification); index++) {
        uint64_t offset = opendb_violation_offset(verification, index);
        CHECK(strlen(opendb_violation_reason(verification, index)) > 0);
        is_told = is_told || (opendb_violation_segment(verification, index) == 1 && offset > 0 && offset <= at);
    }
    CHECK(is_told);
    CHECK(opendb_violation_reason(verification, opendb_verification_violations(verification)) == NULL);
    opendb_verification_free(verification);
    OK(opendb_close(database, &error));
}

static void backup(const char *directory) {
    opendb_backup_result made = OPENDB_BACKUP_RESULT_INIT;
    opendb_stats stats = OPENDB_STATS_INIT;
    opendb_database *database = worn(directory, "original"), *copy;
    char path[4096];
    OK(opendb_stats_read(database, &stats, &error));
    snprintf(path, sizeof path, "%s/copies/first", directory);
    OK(opendb_backup(database, path, &made, &error));
    CHECK(made.sequence == stats.last_sequence && made.segments_linked + made.segments_copied > 0);
    REFUSED("not empty", opendb_backup(database, path, NULL, &error));
    REFUSED("inside", opendb_backup(database, opendb_path(database), NULL, &error));
    REFUSED("path is empty", opendb_backup(database, "", NULL, &error));
    REFUSED("path is NULL", opendb_backup(database, NULL, NULL, &error));
    OK(opendb_put(database, B("later"), B("value"), &error));
    copy = open_below(directory, "copies/first");
    check(copy);
    OK(opendb_put(copy, B("of the copy"), B("value"), &error));
    ABSENT(opendb_exists(database, B("of the copy"), &error));
    OK(opendb_close(copy, &error));
    snprintf(path, sizeof path, "%s/copies/second", directory);
    OK(opendb_backup(database, path, NULL, &error));
    OK(opendb_close(database, &error));
}

static void salvage(const char *directory) {
    opendb_salvage_result done = OPENDB_SALVAGE_RESULT_INIT;
    opendb_database *database = worn(directory, "damaged");
    opendb_names *lost;
    char damaged[4096], into[4096], manifest[4200];
    snprintf(damaged, sizeof damaged, "%s/damaged", directory);
    snprintf(into, sizeof into, "%s/salvaged", directory);
    snprintf(manifest, sizeof manifest, "%s/MANIFEST", damaged);
    FAILS(OPENDB_ERROR_LOCKED, "", opendb_salvage(damaged, into, &done, &lost, &error));
    CHECK(lost == NULL);
    OK(opendb_close(database, &error));
    CHECK(remove(manifest) == 0);
    OK(opendb_salvage(damaged, into, &done, &lost, &error));
    CHECK(done.size == sizeof done && done.keys == KEYS / 2 && done.keyspaces == 1);
    opendb_names_free(lost);
    database = open_below(directory, "salvaged");
    check(database);
    OK(opendb_close(database, &error));
    REFUSED("not empty", opendb_salvage(damaged, into, NULL, &lost, &error));
    REFUSED("damaged is NULL", opendb_salvage(NULL, into, NULL, &lost, &error));
    REFUSED("into is NULL", opendb_salvage(damaged, NULL, NULL, &lost, &error));
    REFUSED("lost_out is NULL", opendb_salvage(damaged, into, NULL, NULL, &error));
}

int main(int count, char **arguments) {
    CHECK(count == 2);
    compaction(arguments[1]);
    progress(arguments[1]);
    sizes(arguments[1]);
    damage(arguments[1]);
    backup(arguments[1]);
    salvage(arguments[1]);
    CHECK(opendb_handles_live() == 0);
    return 0;
}
