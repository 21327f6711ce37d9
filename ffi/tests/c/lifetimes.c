/* What outlives the database: handles answer CLOSED and are still freed, pinned values stay readable, and threads that
   close, free and use the same handles at once each get an answer. */
#include "check.h"

#include <pthread.h>

enum { LARGE = 3 * 1024 * 1024, THREADS = 4 };

/* Everything that can be made from a database. */
struct made {
    opendb_keyspace *keyspace;
    opendb_snapshot *snapshot;
    opendb_batch *batch;
    opendb_transaction *transaction;
    opendb_iterator *whole, *keys, *begun, *ended, *of_snapshot, *of_transaction;
};

static struct made make_all(opendb_database *database) {
    struct made made;
    opendb_scan keys_only = OPENDB_SCAN_INIT;
    keys_only.flags = OPENDB_SCAN_KEYS_ONLY;
    OK(opendb_keyspace_open(database, "sessions", &made.keyspace, &error));
    OK(opendb_snapshot_new(database, &made.snapshot, &error));
    OK(opendb_batch_new(database, &made.batch, &error));
    OK(opendb_batch_put(made.batch, "default", B("a"), B("from the batch"), &error));
    OK(opendb_transaction_begin(database, &made.transaction, &error));
    OK(opendb_transaction_put(made.transaction, "default", B("a"), B("from the transaction"), &error));
    OK(opendb_iter(database, NULL, &made.whole, &error));
    OK(opendb_iter(database, &keys_only, &made.keys, &error));
    OK(opendb_iter(database, NULL, &made.begun, &error));
    NEXT(made.begun, "a", "1");
    OK(opendb_scan_prefix(database, B("nobody:"), &made.ended, &error));
    ABSENT(opendb_iterator_next(made.ended, &(opendb_view){0}, NULL, &error));
    OK(opendb_snapshot_iter(made.snapshot, NULL, &made.of_snapshot, &error));
    OK(opendb_transaction_iter(made.transaction, "default", NULL, &made.of_transaction, &error));
    return made;
}

#define CLOSED(call) FAILS(OPENDB_ERROR_CLOSED, "closed", call)

static void closed_iterator(opendb_iterator *iterator) {
    opendb_view key;
    /* However often it is asked: nothing that was closed looks like a scan that came to its end. */
    CLOSED(opendb_iterator_next(iterator, &key, NULL, &error));
    CLOSED(opendb_iterator_next(iterator, &key, NULL, &error));
    CHECK(key.data == NULL && key.length == 0);
}

static void all_are_closed(struct made *made) {
    opendb_bytes value;
    opendb_view view;
    opendb_pinned *pinned;
    opendb_iterator *iterator;
    opendb_snapshot *snapshot;
    uint64_t count;
    CLOSED(opendb_keyspace_put(made->keyspace, B("k"), B("v"), &error));
    CLOSED(opendb_keyspace_put_with(made->keyspace, B("k"), B("v"), OPENDB_DURABILITY_SYNC, &error));
    CLOSED(opendb_keyspace_delete(made->keyspace, B("k"), &error));
    CLOSED(opendb_keyspace_delete_with(made->keyspace, B("k"), OPENDB_DURABILITY_SYNC, &error));
    CLOSED(opendb_keyspace_get(made->keyspace, B("k"), &value, &error));
    CLOSED(opendb_keyspace_get_pinned(made->keyspace, B("k"), &pinned, &view, &error));
    CLOSED(opendb_keyspace_exists(made->keyspace, B("k"), &error));
    CLOSED(opendb_keyspace_iter(made->keyspace, NULL, &iterator, &error));
    CLOSED(opendb_keyspace_scan_prefix(made->keyspace, B("k"), &iterator, &error));
    CLOSED(opendb_keyspace_len(made->keyspace, &count, &error));
    CHECK(strcmp(opendb_keyspace_name(made->keyspace), "sessions") == 0);
    CLOSED(opendb_snapshot_get(made->snapshot, B("k"), &value, &error));
    CLOSED(opendb_snapshot_get_pinned(made->snapshot, B("k"), &pinned, &view, &error));
    CLOSED(opendb_snapshot_exists(made->snapshot, B("k"), &error));
    CLOSED(opendb_snapshot_iter(made->snapshot, NULL, &iterator, &error));
    CLOSED(opendb_snapshot_scan_prefix(made->snapshot, B("k"), &iterator, &error));
    CLOSED(opendb_snapshot_keyspace(made->snapshot, "default", &snapshot, &error));
    CLOSED(opendb_batch_put(made->batch, "default", B("k"), B("v"), &error));
    CLOSED(opendb_batch_delete(made->batch, "default", B("k"), &error));
    CLOSED(opendb_batch_commit(made->batch, &error));
    CLOSED(opendb_transaction_get(made->transaction, "default", B("k"), &value, &error));
    CLOSED(opendb_transaction_exists(made->transaction, "default", B("k"), &error));
    CLOSED(opendb_transaction_put(made->transaction, "default", B("k"), B("v"), &error));
    CLOSED(opendb_transaction_delete(made->transaction, "default", B("k"), &error));
    CLOSED(opendb_transaction_iter(made->transaction, "default", NULL, &iterator, &error));
    CLOSED(opendb_transaction_scan_prefix(made->transaction, "default", B("k"), &iterator, &error));
    CLOSED(opendb_transaction_commit(made->transaction, &error));
    closed_iterator(made->whole);
    closed_iterator(made->keys);
    closed_iterator(made->begun);
    closed_iterator(made->of_snapshot);
    closed_iterator(made->of_transaction);
}

static void free_all(struct made *made) {
    opendb_iterator_free(made->of_transaction);
    opendb_iterator_free(made->of_snapshot);
    opendb_iterator_free(made->ended);
    opendb_iterator_free(made->begun);
    opendb_iterator_free(made->keys);
    opendb_iterator_free(made->whole);
    opendb_transaction_free(made->transaction);
    opendb_batch_free(made->batch);
    opendb_snapshot_free(made->snapshot);
    opendb_keyspace_free(made->keyspace);
}

static void closing_with_handles_live(const char *directory) {
    opendb_database *database = open_below(directory, "handles"), *again;
    struct made made;
    OK(opendb_put(database, B("a"), B("1"), &error));
    OK(opendb_put(database, B("b"), B("2"), &error));
    made = make_all(database);
    OK(opendb_close(database, &error));
    REFUSED("not live", opendb_close(database, &error));
    all_are_closed(&made);
    /* The directory is free, and what is opened there has nothing to do with the handles of before. */
    again = open_below(directory, "handles");
    CLOSED(opendb_keyspace_put(made.keyspace, B("k"), B("v"), &error));
    CLOSED(opendb_snapshot_exists(made.snapshot, B("a"), &error));
    free_all(&made);
    free_all(&made);
    OK(opendb_exists(again, B("b"), &error));
    ABSENT(opendb_exists(again, B("k"), &error));
    /* In the other order: everything is freed while the database is open, by handles that were never used. */
    made = make_all(again);
    free_all(&made);
    OK(opendb_close(again, &error));
    CHECK(opendb_handles_live() == 0);
}

/* Views of an iterator that the caller has not moved on yet stay readable when the database is closed. */
static void views_after_close(const char *directory) {
    opendb_database *database = open_below(directory, "views");
    opendb_iterator *iterator;
    opendb_view key, value;
    OK(opendb_put(database, B("key"), B("value"), &error));
    OK(opendb_iter(database, NULL, &iterator, &error));
    OK(opendb_iterator_next(iterator, &key, &value, &error));
    OK(opendb_close(database, &error));
    CHECK(SAME(key, "key") && SAME(value, "value"));
    opendb_iterator_free(iterator);
}

/* Pinned values of every size, from the cache, from a mapping and from a file that is not mapped. */
static void pinned_after_close(const char *directory, const char *name, opendb_append_mode mode, bool mapped_reads) {
    static const size_t LENGTHS[] = {0, 1, 100, 5000, 70000, LARGE};
    enum { COUNT = sizeof LENGTHS / sizeof *LENGTHS };
    char path[4096];
    unsigned char *bytes = malloc(LARGE);
    opendb_options *options = opendb_options_new();
    opendb_database *database;
    opendb_pinned *pinned[COUNT];
    opendb_view views[COUNT];
    size_t at;
    CHECK(bytes != NULL);
    snprintf(path, sizeof path, "%s/%s", directory, name);
    OK(opendb_options_set_append_mode(options, mode, &error));
    OK(opendb_options_set_mapped_reads(options, mapped_reads, &error));
    OK(opendb_open(path, options, &database, &error));
    opendb_options_free(options);
    for (at = 0; at < COUNT; at++) {
        memset(bytes, (int)('a' + at), LARGE);
        OK(opendb_put(database, &at, sizeof at, bytes, LENGTHS[at], &error));
        OK(opendb_get_pinned(database, &at, sizeof at, &pinned[at], &views[at], &error));
    }
    /* Neither overwriting and deleting nor closing takes the bytes away. */
    for (at = 0; at < COUNT; at++) {
        OK(opendb_put(database, &at, sizeof at, B("other"), &error));
        OK(opendb_delete(database, &at, sizeof at, &error));
    }
    OK(opendb_close(database, &error));
    for (at = 0; at < COUNT; at++) {
        memset(bytes, (int)('a' + at), LARGE);
        CHECK(views[at].length == LENGTHS[at]);
        CHECK(LENGTHS[at] == 0 || memcmp(views[at].data, bytes, LENGTHS[at]) == 0);
        opendb_pinned_free(pinned[at]);
        opendb_pinned_free(pinned[at]);
    }
    free(bytes);
    CHECK(opendb_handles_live() == 0);
}

struct shared {
    opendb_database *database;
    opendb_iterator *iterator;
    opendb_status closed;
};

static void *close_it(void *argument) {
    struct shared *shared = argument;
    shared->closed = opendb_close(shared->database, NULL);
    return NULL;
}

/* Uses the handles until the database is closed under it. */
static void *use_it(void *argument) {
    struct shared *shared = argument;
    opendb_status status, stepped;
    do {
        opendb_keyspace *keyspace;
        opendb_iterator *iterator;
        opendb_view key;
        status = opendb_put(shared->database, B("k"), B("v"), NULL);
        if (opendb_keyspace_open(shared->database, "sessions", &keyspace, NULL) == OPENDB_OK) {
            stepped = opendb_keyspace_put(keyspace, B("k"), B("v"), NULL);
            CHECK(stepped == OPENDB_OK || stepped == OPENDB_ERROR_CLOSED);
        }
        if (opendb_iter(shared->database, NULL, &iterator, NULL) == OPENDB_OK) {
            stepped = opendb_iterator_next(iterator, &key, NULL, NULL);
            CHECK(stepped == OPENDB_OK || stepped == OPENDB_ERROR_CLOSED);
        }
        /* The iterator of all threads: it is at its end, closed or freed. */
        stepped = opendb_iterator_next(shared->iterator, &key, NULL, NULL);
        CHECK(stepped <= OPENDB_OK || stepped == OPENDB_ERROR_CLOSED || stepped == OPENDB_ERROR_INVALID_ARGUMENT);
        opendb_iterator_free(iterator);
        opendb_keyspace_free(keyspace);
    } while (status == OPENDB_OK);
    /* A call that had begun finds the database closed; one that begins later finds no handle. */
    CHECK(status == OPENDB_ERROR_CLOSED || status == OPENDB_ERROR_INVALID_ARGUMENT);
    opendb_iterator_free(shared->iterator);
    return NULL;
}

/* Two threads close at once while others are inside calls: one of the two closes, the other finds no handle. */
static void closed_by_two_threads(const char *directory) {
    struct shared users[THREADS], closers[2];
    pthread_t threads[THREADS + 2];
    opendb_database *database = open_below(directory, "threads");
    opendb_iterator *iterator;
    int at;
    OK(opendb_put(database, B("k"), B("v"), &error));
    OK(opendb_iter(database, NULL, &iterator, &error));
    for (at = 0; at < THREADS; at++) {
        users[at].database = database;
        users[at].iterator = iterator;
        CHECK(pthread_create(&threads[at], NULL, use_it, &users[at]) == 0);
    }
    for (at = 0; at < 2; at++) {
        closers[at].database = database;
        CHECK(pthread_create(&threads[THREADS + at], NULL, close_it, &closers[at]) == 0);
    }
    for (at = 0; at < THREADS + 2; at++) {
        CHECK(pthread_join(threads[at], NULL) == 0);
    }
    CHECK(closers[0].closed + closers[1].closed == OPENDB_ERROR_INVALID_ARGUMENT);
    CHECK(closers[0].closed == OPENDB_OK || closers[1].closed == OPENDB_OK);
    CHECK(opendb_handles_live() == 0);
    /* The directory is free as soon as both are back. */
    OK(opendb_close(open_below(directory, "threads"), &error));
}

int main(int count, char **arguments) {
    CHECK(count == 2);
    closing_with_handles_live(arguments[1]);
    views_after_close(arguments[1]);
    pinned_after_close(arguments[1], "mapped", OPENDB_APPEND_MODE_MAPPED, true);
    pinned_after_close(arguments[1], "written", OPENDB_APPEND_MODE_WRITE, true);
    pinned_after_close(arguments[1], "unmapped", OPENDB_APPEND_MODE_WRITE, false);
    closed_by_two_threads(arguments[1]);
    return 0;
}
