/* Batches, transactions, conflicts, and transact. */
#include "check.h"

static void batches(opendb_database *database) {
    opendb_batch *batch;
    uint64_t count;
    OK(opendb_batch_new(database, &batch, &error));
    OK(opendb_batch_len(batch, &count, &error));
    CHECK(count == 0);
    OK(opendb_batch_put(batch, "default", B("a"), B("1"), &error));
    OK(opendb_batch_put(batch, "default", B("b"), B("2"), &error));
    OK(opendb_batch_delete(batch, "default", B("a"), &error));
    FAILS(OPENDB_ERROR_KEYSPACE_NOT_FOUND, "missing", opendb_batch_put(batch, "missing", B("c"), B("3"), &error));
    FAILS(OPENDB_ERROR_KEYSPACE_NOT_FOUND, "missing", opendb_batch_delete(batch, "missing", B("c"), &error));
    OK(opendb_batch_len(batch, &count, &error));
    CHECK(count > 0);
    ABSENT(opendb_exists(database, B("b"), &error));
    OK(opendb_batch_commit(batch, &error));
    ABSENT(opendb_exists(database, B("a"), &error));
    OK(opendb_exists(database, B("b"), &error));
    REFUSED("not live", opendb_batch_commit(batch, &error));
    opendb_batch_free(batch);

    OK(opendb_batch_new(database, &batch, &error));
    OK(opendb_batch_put(batch, "default", B("c"), B("3"), &error));
    opendb_batch_free(batch);
    ABSENT(opendb_exists(database, B("c"), &error));

    OK(opendb_batch_new(database, &batch, &error));
    OK(opendb_batch_put(batch, "default", B("c"), B("3"), &error));
    OK(opendb_batch_commit_with(batch, OPENDB_DURABILITY_SYNC, &error));
    OK(opendb_exists(database, B("c"), &error));

    /* A commit that is refused has consumed the batch all the same. */
    OK(opendb_batch_new(database, &batch, &error));
    OK(opendb_batch_put(batch, "default", B("d"), B("4"), &error));
    REFUSED("durability is 9", opendb_batch_commit_with(batch, 9, &error));
    REFUSED("not live", opendb_batch_put(batch, "default", B("d"), B("4"), &error));
    ABSENT(opendb_exists(database, B("d"), &error));
}

static void own_writes(opendb_database *database) {
    opendb_transaction *transaction;
    opendb_iterator *iterator;
    opendb_bytes value;
    OK(opendb_put(database, B("t:1"), B("one"), &error));
    OK(opendb_transaction_begin(database, &transaction, &error));
    OK(opendb_transaction_put(transaction, "default", B("t:2"), B("two"), &error));
    OK(opendb_transaction_get(transaction, "default", B("t:2"), &value, &error));
    CHECK(SAME(value, "two"));
    opendb_bytes_free(&value);
    ABSENT(opendb_exists(database, B("t:2"), &error));
    OK(opendb_transaction_delete(transaction, "default", B("t:1"), &error));
    ABSENT(opendb_transaction_exists(transaction, "default", B("t:1"), &error));
    OK(opendb_transaction_exists(transaction, "default", B("t:2"), &error));
    OK(opendb_transaction_scan_prefix(transaction, "default", B("t:"), &iterator, &error));
    NEXT(iterator, "t:2", "two");
    END(iterator);
    OK(opendb_transaction_iter(transaction, "default", NULL, &iterator, &error));
    NEXT(iterator, "b", "2");
    opendb_iterator_free(iterator);
    FAILS(OPENDB_ERROR_KEYSPACE_NOT_FOUND, "missing",
          opendb_transaction_get(transaction, "missing", B("t:1"), &value, &error));
    CHECK(value.data == NULL);
    OK(opendb_transaction_commit(transaction, &error));
    ABSENT(opendb_exists(database, B("t:1"), &error));
    OK(opendb_exists(database, B("t:2"), &error));
    REFUSED("not live", opendb_transaction_commit(transaction, &error));
    REFUSED("not live", opendb_transaction_rollback(transaction, &error));
    opendb_transaction_free(transaction);
}

static void endings(opendb_database *database) {
    opendb_transaction *transaction;
    OK(opendb_transaction_begin(database, &transaction, &error));
    OK(opendb_transaction_put(transaction, "default", B("rolled back"), B("x"), &error));
    OK(opendb_transaction_rollback(transaction, &error));
    ABSENT(opendb_exists(database, B("rolled back"), &error));
    OK(opendb_transaction_begin(database, &transaction, &error));
    OK(opendb_transaction_put(transaction, "default", B("freed"), B("x"), &error));
    opendb_transaction_free(transaction);
    opendb_transaction_free(transaction);
    ABSENT(opendb_exists(database, B("freed"), &error));
    OK(opendb_transaction_begin(database, &transaction, &error));
    OK(opendb_transaction_put(transaction, "default", B("synced"), B("x"), &error));
    OK(opendb_transaction_commit_with(transaction, OPENDB_DURABILITY_SYNC, &error));
    OK(opendb_exists(database, B("synced"), &error));
    OK(opendb_transaction_begin(database, &transaction, &error));
    REFUSED("durability is 5", opendb_transaction_commit_with(transaction, 5, &error));
    REFUSED("not live", opendb_transaction_commit(transaction, &error));
}

/* Two that read and write the same key: the second commit is refused, whole, and says that it may be run again. */
static void conflict(opendb_database *database) {
    opendb_transaction *first, *second;
    opendb_bytes value;
    opendb_error *error = NULL;
    OK(opendb_put(database, B("balance"), B("10"), &error));
    OK(opendb_transaction_begin(database, &first, &error));
    OK(opendb_transaction_begin(database, &second, &error));
    OK(opendb_transaction_get(first, "default", B("balance"), &value, &error));
    opendb_bytes_free(&value);
    OK(opendb_transaction_get(second, "default", B("balance"), &value, &error));
    opendb_bytes_free(&value);
    OK(opendb_transaction_put(first, "default", B("balance"), B("11"), &error));
    OK(opendb_transaction_put(second, "default", B("balance"), B("12"), &error));
    OK(opendb_transaction_put(second, "default", B("beside"), B("x"), &error));
    OK(opendb_transaction_commit(first, &error));
    CHECK(opendb_transaction_commit(second, &error) == OPENDB_ERROR_TRANSACTION);
    CHECK(opendb_error_kind(error) == OPENDB_ERROR_TRANSACTION && opendb_error_retryable(error));
    CHECK(strstr(opendb_error_message(error), "balance") == NULL);
    opendb_error_free(error);
    REFUSED("not live", opendb_transaction_commit(second, &error));
    ABSENT(opendb_exists(database, B("beside"), &error));
    OK(opendb_get(database, B("balance"), &value, &error));
    CHECK(SAME(value, "11"));
    opendb_bytes_free(&value);
}

/* A key that appears in a prefix that was scanned is a conflict too. */
static void phantom(opendb_database *database) {
    opendb_transaction *transaction;
    opendb_iterator *iterator;
    opendb_view key;
    OK(opendb_transaction_begin(database, &transaction, &error));
    OK(opendb_transaction_scan_prefix(transaction, "default", B("seat:"), &iterator, &error));
    ABSENT(opendb_iterator_next(iterator, &key, NULL, &error));
    opendb_iterator_free(iterator);
    OK(opendb_put(database, B("seat:1"), B("taken"), &error));
    OK(opendb_transaction_put(transaction, "default", B("seat:2"), B("taken"), &error));
    FAILS(OPENDB_ERROR_TRANSACTION, "conflict", opendb_transaction_commit(transaction, &error));
}

struct run {
    opendb_database *database;
    opendb_transaction *seen;
    int runs;
    opendb_status answer;
};

/* Meets a change from outside on its first run. */
static opendb_status increment(opendb_transaction *transaction, void *user_data) {
    struct run *run = user_data;
    opendb_bytes value;
    unsigned char next;
    run->seen = transaction;
    OK(opendb_transaction_get(transaction, "default", B("counter"), &value, &error));
    next = (unsigned char)(value.data[0] + 1);
    opendb_bytes_free(&value);
    if (run->runs++ == 0) {
        OK(opendb_put(run->database, B("counter"), B("\x05"), &error));
    }
    OK(opendb_transaction_put(transaction, "default", B("counter"), &next, 1, &error));
    REFUSED("ended by what the work returns", opendb_transaction_commit(transaction, &error));
    REFUSED("ended by what the work returns", opendb_transaction_rollback(transaction, &error));
    opendb_transaction_free(transaction);
    OK(opendb_transaction_exists(transaction, "default", B("counter"), &error));
    return run->answer;
}

static opendb_status ask_once_more(opendb_transaction *transaction, void *user_data) {
    int *runs = user_data;
    OK(opendb_transaction_put(transaction, "default", B("asked"), B("x"), &error));
    return ++*runs < 3 ? OPENDB_ERROR_TRANSACTION : OPENDB_OK;
}

static opendb_status never_content(opendb_transaction *transaction, void *user_data) {
    ++*(int *)user_data;
    OK(opendb_transaction_put(transaction, "default", B("never"), B("x"), &error));
    return OPENDB_ERROR_TRANSACTION;
}

static void transact(opendb_database *database) {
    struct run run = {database, NULL, 0, OPENDB_OK};
    opendb_bytes value;
    int runs = 0;
    OK(opendb_put(database, B("counter"), B("\x01"), &error));
    OK(opendb_transact(database, increment, &run, &error));
    CHECK(run.runs == 2);
    OK(opendb_get(database, B("counter"), &value, &error));
    CHECK(SAME(value, "\x06"));
    opendb_bytes_free(&value);
    REFUSED("not live", opendb_transaction_exists(run.seen, "default", B("counter"), &error));
    run.answer = 1000;
    FAILS(1000, "status 1000", opendb_transact(database, increment, &run, &error));
    run.answer = OPENDB_ERROR_IO;
    FAILS(OPENDB_ERROR_IO, "status 11", opendb_transact(database, increment, &run, &error));
    run.answer = OPENDB_NOT_FOUND;
    ABSENT(opendb_transact(database, increment, &run, &error));
    run.answer = -7;
    CHECK(opendb_transact(database, increment, &run, NULL) == -7);
    OK(opendb_get(database, B("counter"), &value, &error));
    CHECK(SAME(value, "\x06"));
    opendb_bytes_free(&value);
    OK(opendb_transact(database, ask_once_more, &runs, &error));
    CHECK(runs == 3);
    OK(opendb_exists(database, B("asked"), &error));
    FAILS(OPENDB_ERROR_TRANSACTION, "conflict", opendb_transact(database, never_content, &runs, &error));
    CHECK(runs > 4);
    ABSENT(opendb_exists(database, B("never"), &error));
}

static void closed(opendb_database *database) {
    opendb_transaction *transaction;
    opendb_batch *batch;
    opendb_snapshot *snapshot;
    opendb_bytes value;
    OK(opendb_transaction_begin(database, &transaction, &error));
    OK(opendb_batch_new(database, &batch, &error));
    OK(opendb_snapshot_new(database, &snapshot, &error));
    OK(opendb_close(database, &error));
    FAILS(OPENDB_ERROR_CLOSED, "closed", opendb_transaction_get(transaction, "default", B("k"), &value, &error));
    FAILS(OPENDB_ERROR_CLOSED, "closed", opendb_transaction_commit(transaction, &error));
    FAILS(OPENDB_ERROR_CLOSED, "closed", opendb_batch_commit(batch, &error));
    FAILS(OPENDB_ERROR_CLOSED, "closed", opendb_snapshot_get(snapshot, B("k"), &value, &error));
    opendb_snapshot_free(snapshot);
}

int main(int count, char **arguments) {
    opendb_database *database;
    CHECK(count == 2);
    database = open_below(arguments[1], "transaction");
    batches(database);
    own_writes(database);
    endings(database);
    conflict(database);
    phantom(database);
    transact(database);
    closed(database);
    CHECK(opendb_handles_live() == 0);
    return 0;
}
