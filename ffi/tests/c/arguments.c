/* What a caller can get wrong: NULL, handles that are freed, of another type or made up, and freeing twice. */
#include "check.h"

static opendb_database *database;
static opendb_keyspace *keyspace;
static opendb_snapshot *snapshot;
static opendb_batch *batch;
static opendb_transaction *transaction;
static opendb_iterator *iterator;
static opendb_options *options;

static opendb_bytes value;
static opendb_view view;
static opendb_pinned *pinned;
static opendb_iterator *made;
static uint64_t count;

static opendb_status nothing(opendb_transaction *unused, void *user_data) {
    (void)unused;
    (void)user_data;
    return OPENDB_OK;
}

/* Every function that takes a handle, given one that must be refused with the text. */
static void refuse_database(opendb_database *d, const char *text) {
    opendb_stats stats = OPENDB_STATS_INIT;
    opendb_names *names;
    opendb_keyspace *k;
    opendb_snapshot *s;
    opendb_batch *b;
    opendb_transaction *t;
    opendb_verification *verification;
    REFUSED(text, opendb_put(d, B("k"), B("v"), &error));
    REFUSED(text, opendb_put_with(d, B("k"), B("v"), 0, &error));
    REFUSED(text, opendb_delete(d, B("k"), &error));
    REFUSED(text, opendb_delete_with(d, B("k"), 0, &error));
    REFUSED(text, opendb_get(d, B("k"), &value, &error));
    CHECK(value.data == NULL && value.length == 0);
    REFUSED(text, opendb_get_pinned(d, B("k"), &pinned, &view, &error));
    CHECK(pinned == NULL && view.data == NULL && view.length == 0);
    opendb_values *values;
    REFUSED(text, opendb_get_many(d, &view, 1, &values, &error));
    CHECK(values == NULL);
    REFUSED(text, opendb_exists(d, B("k"), &error));
    REFUSED(text, opendb_iter(d, NULL, &made, &error));
    CHECK(made == NULL);
    REFUSED(text, opendb_scan_prefix(d, B("k"), &made, &error));
    count = 1;
    REFUSED(text, opendb_len(d, &count, &error));
    CHECK(count == 0);
    REFUSED(text, opendb_flush(d, &error));
    REFUSED(text, opendb_keyspaces(d, &names, &error));
    CHECK(names == NULL);
    REFUSED(text, opendb_keyspace_open(d, "k", &k, &error));
    CHECK(k == NULL);
    REFUSED(text, opendb_snapshot_new(d, &s, &error));
    CHECK(s == NULL);
    REFUSED(text, opendb_batch_new(d, &b, &error));
    CHECK(b == NULL);
    REFUSED(text, opendb_transaction_begin(d, &t, &error));
    CHECK(t == NULL);
    REFUSED(text, opendb_transact(d, nothing, NULL, &error));
    REFUSED(text, opendb_stats_read(d, &stats, &error));
    REFUSED(text, opendb_recovery_damage(d, &names, &error));
    REFUSED(text, opendb_compact(d, NULL, NULL, NULL, &error));
    REFUSED(text, opendb_verify(d, &verification, &error));
    CHECK(verification == NULL);
    REFUSED(text, opendb_backup(d, "/nowhere", NULL, &error));
    CHECK(opendb_path(d) == NULL);
    /* Without a place for the error the status is the same. */
    CHECK(opendb_flush(d, NULL) == OPENDB_ERROR_INVALID_ARGUMENT);
}

static void refuse_keyspace(opendb_keyspace *k, const char *text) {
    REFUSED(text, opendb_keyspace_put(k, B("k"), B("v"), &error));
    REFUSED(text, opendb_keyspace_put_with(k, B("k"), B("v"), 0, &error));
    REFUSED(text, opendb_keyspace_delete(k, B("k"), &error));
    REFUSED(text, opendb_keyspace_delete_with(k, B("k"), 0, &error));
    REFUSED(text, opendb_keyspace_get(k, B("k"), &value, &error));
    REFUSED(text, opendb_keyspace_get_pinned(k, B("k"), &pinned, &view, &error));
    opendb_values *values;
    REFUSED(text, opendb_keyspace_get_many(k, NULL, 0, &values, &error));
    REFUSED(text, opendb_keyspace_exists(k, B("k"), &error));
    REFUSED(text, opendb_keyspace_iter(k, NULL, &made, &error));
    REFUSED(text, opendb_keyspace_scan_prefix(k, B("k"), &made, &error));
    REFUSED(text, opendb_keyspace_len(k, &count, &error));
    CHECK(opendb_keyspace_name(k) == NULL);
    opendb_keyspace_free(k);
}

static void refuse_snapshot(opendb_snapshot *s, const char *text) {
    opendb_snapshot *other;
    REFUSED(text, opendb_snapshot_get(s, B("k"), &value, &error));
    REFUSED(text, opendb_snapshot_get_pinned(s, B("k"), &pinned, &view, &error));
    opendb_values *values;
    REFUSED(text, opendb_snapshot_get_many(s, NULL, 0, &values, &error));
    REFUSED(text, opendb_snapshot_exists(s, B("k"), &error));
    REFUSED(text, opendb_snapshot_iter(s, NULL, &made, &error));
    REFUSED(text, opendb_snapshot_scan_prefix(s, B("k"), &made, &error));
    REFUSED(text, opendb_snapshot_keyspace(s, "default", &other, &error));
    CHECK(other == NULL);
    opendb_snapshot_free(s);
}

static void refuse_batch(opendb_batch *b, const char *text) {
    REFUSED(text, opendb_batch_put(b, "default", B("k"), B("v"), &error));
    REFUSED(text, opendb_batch_delete(b, "default", B("k"), &error));
    REFUSED(text, opendb_batch_len(b, &count, &error));
    REFUSED(text, opendb_batch_commit(b, &error));
    REFUSED(text, opendb_batch_commit_with(b, 0, &error));
    opendb_batch_free(b);
}

static void refuse_transaction(opendb_transaction *t, const char *text) {
    REFUSED(text, opendb_transaction_get(t, "default", B("k"), &value, &error));
    opendb_values *values;
    REFUSED(text, opendb_transaction_get_many(t, "default", NULL, 0, &values, &error));
    REFUSED(text, opendb_transaction_exists(t, "default", B("k"), &error));
    REFUSED(text, opendb_transaction_put(t, "default", B("k"), B("v"), &error));
    REFUSED(text, opendb_transaction_delete(t, "default", B("k"), &error));
    REFUSED(text, opendb_transaction_iter(t, "default", NULL, &made, &error));
    REFUSED(text, opendb_transaction_scan_prefix(t, "default", B("k"), &made, &error));
    REFUSED(text, opendb_transaction_commit(t, &error));
    REFUSED(text, opendb_transaction_commit_with(t, 0, &error));
    REFUSED(text, opendb_transaction_rollback(t, &error));
    opendb_transaction_free(t);
}

static void refuse_iterator(opendb_iterator *i, const char *text) {
    REFUSED(text, opendb_iterator_next(i, &view, &view, &error));
    opendb_iterator_free(i);
}

static void refuse_options(opendb_options *o, const char *text) {
    opendb_database *d;
    REFUSED(text, opendb_options_set_create(o, true, &error));
    REFUSED(text, opendb_options_set_durability(o, 0, &error));
    REFUSED(text, opendb_options_set_append_mode(o, 0, &error));
    REFUSED(text, opendb_options_set_mapped_reads(o, true, &error));
    REFUSED(text, opendb_options_set_cache_bytes(o, 0, &error));
    REFUSED(text, opendb_options_set_segment_bytes(o, 0, &error));
    REFUSED(text, opendb_options_set_read_damaged(o, true, &error));
    if (o != NULL) {
        REFUSED(text, opendb_open("/nowhere", o, &d, &error));
        CHECK(d == NULL);
    }
    opendb_options_free(o);
}

/* Refuses what is no live handle: NULL, of another type, an address, a number that nobody gave out. */
static void wrong_handles(void) {
    int object = 0;
    void *address = &object, *made_up = (void *)(uintptr_t)0xffffffffffffff10u;
    refuse_database(NULL, "database is NULL");
    refuse_database((opendb_database *)keyspace, "database: the handle is of another type");
    refuse_database(address, "database: the pointer is not a handle");
    refuse_database(made_up, "database: the handle is of another type");
    refuse_keyspace(NULL, "keyspace is NULL");
    refuse_keyspace((opendb_keyspace *)database, "keyspace: the handle is of another type");
    refuse_keyspace(address, "keyspace: the pointer is not a handle");
    refuse_snapshot(NULL, "snapshot is NULL");
    refuse_snapshot((opendb_snapshot *)database, "snapshot: the handle is of another type");
    refuse_batch(NULL, "batch is NULL");
    refuse_batch((opendb_batch *)transaction, "batch: the handle is of another type");
    refuse_transaction(NULL, "transaction is NULL");
    refuse_transaction((opendb_transaction *)batch, "transaction: the handle is of another type");
    refuse_transaction(address, "transaction: the pointer is not a handle");
    refuse_iterator(NULL, "iterator is NULL");
    refuse_iterator((opendb_iterator *)snapshot, "iterator: the handle is of another type");
    refuse_options(NULL, "options is NULL");
    refuse_options((opendb_options *)iterator, "options: the handle is of another type");
    CHECK(object == 0);
    REFUSED("another type", opendb_close((opendb_database *)keyspace, &error));
    REFUSED("not a handle", opendb_close(address, &error));
    OK(opendb_keyspace_exists(keyspace, B("there"), &error));
}

#define EACH_KEY(call, ...) REFUSED("key is NULL", call(__VA_ARGS__))

/* NULL with a length that is not 0, and NULL for names and paths. */
static void null_inputs(void) {
    opendb_database *d;
    opendb_keyspace *k;
    opendb_snapshot *s;
    REFUSED("path is NULL", opendb_open(NULL, NULL, &d, &error));
    CHECK(d == NULL);
    REFUSED("name is NULL", opendb_keyspace_open(database, NULL, &k, &error));
    REFUSED("keyspace is NULL", opendb_snapshot_keyspace(snapshot, NULL, &s, &error));
    EACH_KEY(opendb_put, database, NULL, 1, B("v"), &error);
    EACH_KEY(opendb_put_with, database, NULL, 1, B("v"), 0, &error);
    EACH_KEY(opendb_delete, database, NULL, 1, &error);
    EACH_KEY(opendb_delete_with, database, NULL, 1, 0, &error);
    EACH_KEY(opendb_get, database, NULL, 1, &value, &error);
    EACH_KEY(opendb_get_pinned, database, NULL, 1, &pinned, &view, &error);
    EACH_KEY(opendb_exists, database, NULL, 1, &error);
    EACH_KEY(opendb_keyspace_put, keyspace, NULL, 1, B("v"), &error);
    EACH_KEY(opendb_keyspace_put_with, keyspace, NULL, 1, B("v"), 0, &error);
    EACH_KEY(opendb_keyspace_delete, keyspace, NULL, 1, &error);
    EACH_KEY(opendb_keyspace_delete_with, keyspace, NULL, 1, 0, &error);
    EACH_KEY(opendb_keyspace_get, keyspace, NULL, 1, &value, &error);
    EACH_KEY(opendb_keyspace_get_pinned, keyspace, NULL, 1, &pinned, &view, &error);
    EACH_KEY(opendb_keyspace_exists, keyspace, NULL, 1, &error);
    EACH_KEY(opendb_snapshot_get, snapshot, NULL, 1, &value, &error);
    EACH_KEY(opendb_snapshot_get_pinned, snapshot, NULL, 1, &pinned, &view, &error);
    EACH_KEY(opendb_snapshot_exists, snapshot, NULL, 1, &error);
    EACH_KEY(opendb_batch_put, batch, "default", NULL, 1, B("v"), &error);
    EACH_KEY(opendb_batch_delete, batch, "default", NULL, 1, &error);
    EACH_KEY(opendb_transaction_get, transaction, "default", NULL, 1, &value, &error);
    EACH_KEY(opendb_transaction_exists, transaction, "default", NULL, 1, &error);
    EACH_KEY(opendb_transaction_put, transaction, "default", NULL, 1, B("v"), &error);
    EACH_KEY(opendb_transaction_delete, transaction, "default", NULL, 1, &error);
    REFUSED("value is NULL", opendb_put(database, B("k"), NULL, 1, &error));
    REFUSED("value is NULL", opendb_put_with(database, B("k"), NULL, 1, 0, &error));
    REFUSED("value is NULL", opendb_keyspace_put(keyspace, B("k"), NULL, 1, &error));
    REFUSED("value is NULL", opendb_keyspace_put_with(keyspace, B("k"), NULL, 1, 0, &error));
    REFUSED("value is NULL", opendb_batch_put(batch, "default", B("k"), NULL, 1, &error));
    REFUSED("value is NULL", opendb_transaction_put(transaction, "default", B("k"), NULL, 1, &error));
    REFUSED("prefix is NULL", opendb_scan_prefix(database, NULL, 1, &made, &error));
    REFUSED("prefix is NULL", opendb_keyspace_scan_prefix(keyspace, NULL, 1, &made, &error));
    REFUSED("prefix is NULL", opendb_snapshot_scan_prefix(snapshot, NULL, 1, &made, &error));
    REFUSED("prefix is NULL", opendb_transaction_scan_prefix(transaction, "default", NULL, 1, &made, &error));
    REFUSED("keyspace is NULL", opendb_batch_put(batch, NULL, B("k"), B("v"), &error));
    REFUSED("keyspace is NULL", opendb_batch_delete(batch, NULL, B("k"), &error));
    REFUSED("keyspace is NULL", opendb_transaction_get(transaction, NULL, B("k"), &value, &error));
    REFUSED("keyspace is NULL", opendb_transaction_exists(transaction, NULL, B("k"), &error));
    REFUSED("keyspace is NULL", opendb_transaction_put(transaction, NULL, B("k"), B("v"), &error));
    REFUSED("keyspace is NULL", opendb_transaction_delete(transaction, NULL, B("k"), &error));
    REFUSED("keyspace is NULL", opendb_transaction_iter(transaction, NULL, NULL, &made, &error));
    REFUSED("keyspace is NULL", opendb_transaction_scan_prefix(transaction, NULL, B("k"), &made, &error));
    REFUSED("work is NULL", opendb_transact(database, NULL, NULL, &error));
    REFUSED("work is NULL", opendb_transact_with(database, 0, OPENDB_DURABILITY_SYNC, NULL, NULL, &error));
    REFUSED("stats is NULL", opendb_stats_read(database, NULL, &error));
}

/* NULL where a result should go. Beside it, the other place of the call is written all the same. */
static void null_places(void) {
    REFUSED("database_out", opendb_open("/nowhere", NULL, NULL, &error));
    REFUSED("value_out", opendb_get(database, B("there"), NULL, &error));
    REFUSED("verification_out", opendb_verify(database, NULL, &error));
    REFUSED("value_out", opendb_keyspace_get(keyspace, B("there"), NULL, &error));
    REFUSED("value_out", opendb_snapshot_get(snapshot, B("there"), NULL, &error));
    REFUSED("value_out", opendb_transaction_get(transaction, "default", B("there"), NULL, &error));
    view.length = 9;
    REFUSED("pinned_out", opendb_get_pinned(database, B("there"), NULL, &view, &error));
    CHECK(view.length == 0);
    pinned = (opendb_pinned *)&view;
    REFUSED("value_out", opendb_get_pinned(database, B("there"), &pinned, NULL, &error));
    CHECK(pinned == NULL);
    REFUSED("pinned_out", opendb_keyspace_get_pinned(keyspace, B("there"), NULL, &view, &error));
    REFUSED("value_out", opendb_keyspace_get_pinned(keyspace, B("there"), &pinned, NULL, &error));
    REFUSED("pinned_out", opendb_snapshot_get_pinned(snapshot, B("there"), NULL, &view, &error));
    REFUSED("value_out", opendb_snapshot_get_pinned(snapshot, B("there"), &pinned, NULL, &error));
    REFUSED("iterator_out", opendb_iter(database, NULL, NULL, &error));
    REFUSED("iterator_out", opendb_scan_prefix(database, B("t"), NULL, &error));
    REFUSED("iterator_out", opendb_keyspace_iter(keyspace, NULL, NULL, &error));
    REFUSED("iterator_out", opendb_keyspace_scan_prefix(keyspace, B("t"), NULL, &error));
    REFUSED("iterator_out", opendb_snapshot_iter(snapshot, NULL, NULL, &error));
    REFUSED("iterator_out", opendb_snapshot_scan_prefix(snapshot, B("t"), NULL, &error));
    REFUSED("iterator_out", opendb_transaction_iter(transaction, "default", NULL, NULL, &error));
    REFUSED("iterator_out", opendb_transaction_scan_prefix(transaction, "default", B("t"), NULL, &error));
    REFUSED("count_out", opendb_len(database, NULL, &error));
    REFUSED("count_out", opendb_keyspace_len(keyspace, NULL, &error));
    REFUSED("count_out", opendb_batch_len(batch, NULL, &error));
    REFUSED("names_out", opendb_keyspaces(database, NULL, &error));
    REFUSED("names_out", opendb_recovery_damage(database, NULL, &error));
    REFUSED("keyspace_out", opendb_keyspace_open(database, "k", NULL, &error));
    REFUSED("snapshot_out", opendb_snapshot_new(database, NULL, &error));
    REFUSED("snapshot_out", opendb_snapshot_keyspace(snapshot, "default", NULL, &error));
    REFUSED("batch_out", opendb_batch_new(database, NULL, &error));
    REFUSED("transaction_out", opendb_transaction_begin(database, NULL, &error));
    view.length = 9;
    REFUSED("key_out", opendb_iterator_next(iterator, NULL, &view, &error));
    CHECK(view.length == 0);
    /* An entry that was not handed out was not passed over. */
    NEXT(iterator, "there", "v");
}

/* Everything that frees takes NULL, and the accessors say something sensible. */
static void null_frees(void) {
    opendb_error_free(NULL);
    opendb_bytes_free(NULL);
    opendb_pinned_free(NULL);
    opendb_names_free(NULL);
    opendb_values_free(NULL);
    opendb_options_free(NULL);
    opendb_iterator_free(NULL);
    opendb_keyspace_free(NULL);
    opendb_batch_free(NULL);
    opendb_transaction_free(NULL);
    opendb_snapshot_free(NULL);
    OK(opendb_close(NULL, &error));
    CHECK(opendb_close(NULL, NULL) == OPENDB_OK);
    CHECK(opendb_error_kind(NULL) == OPENDB_OK && !opendb_error_retryable(NULL));
    CHECK(strcmp(opendb_error_message(NULL), "no error") == 0);
    CHECK(opendb_names_length(NULL) == 0 && opendb_names_at(NULL, 0) == NULL);
    CHECK(strcmp(opendb_status_name(OPENDB_ERROR_INVALID_ARGUMENT), "INVALID_ARGUMENT") == 0);
    CHECK(strcmp(opendb_status_name(OPENDB_NOT_FOUND), "NOT_FOUND") == 0);
    CHECK(strcmp(opendb_status_name(12345), "UNKNOWN") == 0);
}

/* Freed handles are refused for ever, also when others stand in their place; freeing them again does nothing. */
static void freed_handles(void) {
    opendb_keyspace *later[64];
    opendb_error *error = NULL;
    int at;
    opendb_keyspace_free(keyspace);
    opendb_snapshot_free(snapshot);
    opendb_batch_free(batch);
    opendb_transaction_free(transaction);
    opendb_iterator_free(iterator);
    opendb_options_free(options);
    OK(opendb_get_pinned(database, B("there"), &pinned, &view, &error));
    opendb_pinned_free(pinned);
    opendb_pinned_free(pinned);
    for (at = 0; at < 64; at++) {
        OK(opendb_keyspace_open(database, "again", &later[at], &error));
        CHECK(later[at] != keyspace);
    }
    refuse_keyspace(keyspace, "not live");
    refuse_snapshot(snapshot, "not live");
    refuse_batch(batch, "not live");
    refuse_transaction(transaction, "not live");
    refuse_iterator(iterator, "not live");
    refuse_options(options, "not live");
    for (at = 0; at < 64; at++) {
        OK(opendb_keyspace_put(later[at], B("k"), B("v"), &error));
        opendb_keyspace_free(later[at]);
    }
    CHECK(opendb_close(database, &error) == OPENDB_OK && error == NULL);
    refuse_database(database, "not live");
    REFUSED("not live", opendb_close(database, &error));
    CHECK(opendb_flush(database, &error) == OPENDB_ERROR_INVALID_ARGUMENT);
    opendb_error_free(error);
    opendb_error_free(error);
    CHECK(opendb_error_kind(error) == OPENDB_ERROR_INVALID_ARGUMENT && !opendb_error_retryable(error));
    CHECK(strstr(opendb_error_message(error), "not live") != NULL);
}

int main(int argument_count, char **arguments) {
    CHECK(argument_count == 2);
    database = open_below(arguments[1], "arguments");
    options = opendb_options_new();
    OK(opendb_put(database, B("there"), B("v"), &error));
    OK(opendb_keyspace_open(database, "keyspace", &keyspace, &error));
    OK(opendb_keyspace_put(keyspace, B("there"), B("v"), &error));
    OK(opendb_snapshot_new(database, &snapshot, &error));
    OK(opendb_batch_new(database, &batch, &error));
    OK(opendb_transaction_begin(database, &transaction, &error));
    OK(opendb_iter(database, NULL, &iterator, &error));
    null_frees();
    wrong_handles();
    null_inputs();
    null_places();
    freed_handles();
    CHECK(opendb_handles_live() == 0);
    return 0;
}
