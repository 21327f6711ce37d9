/* What the generated program of `misuse.rs` begins with: a live handle of every type, and one that is none any more. */
#ifndef MISUSE_H
#define MISUSE_H

#include <pthread.h>

#include "../c/check.h"

#define POISON ((void *)(uintptr_t)0x5a5a5a50u)
/* A number that looks like a handle and was never given out. */
#define MADE_UP ((void *)(uintptr_t)0xffffffffffffff10u)

static char directory[4096], below[4200];
static char buffer[16];
static const char *doing = "nothing";
static int object;

static opendb_database *database;
static opendb_keyspace *keyspace;
static opendb_snapshot *snapshot;
static opendb_batch *batch;
static opendb_transaction *transaction;
static opendb_iterator *iterator;
static opendb_options *options;
static opendb_names *names;
static opendb_pinned *pinned;
static opendb_values *values;
static opendb_value_reader *value_reader;
static opendb_value_writer *value_writer;
static opendb_verification *verification;
static opendb_error *error;

static void fail(const char *what, opendb_status status, opendb_error *told) {
    fprintf(stderr, "%s: %s: %s: %s\n", doing, what, opendb_status_name(status), opendb_error_message(told));
    exit(1);
}

/* The call was refused because of the argument that the message names. */
static void refused(const char *text, opendb_status status, opendb_error *told) {
    if (status != OPENDB_ERROR_INVALID_ARGUMENT || strstr(opendb_error_message(told), text) == NULL) {
        fail(text, status, told);
    }
    opendb_error_free(told);
}

/* The call was not refused because of an argument, whatever came of it. */
static void taken(opendb_status status, opendb_error *told) {
    if (status == OPENDB_ERROR_INVALID_ARGUMENT || status == OPENDB_ERROR_INTERNAL) {
        fail("not taken", status, told);
    }
    opendb_error_free(told);
}

static void closed(opendb_status status, opendb_error *told) {
    if (status != OPENDB_ERROR_CLOSED) {
        fail("not closed", status, told);
    }
    opendb_error_free(told);
}

/* A place where nothing is yet. */
static const char *elsewhere(void) {
    static char place[4300];
    static int number;
    CHECK(snprintf(place, sizeof place, "%s/%d", directory, number++) < (int)sizeof place);
    return place;
}

static opendb_status work(opendb_transaction *inner, void *user_data) {
    (void)user_data;
    return opendb_transaction_put(inner, "default", B("worked"), B("v"), NULL);
}

static bool progress(uint64_t done, uint64_t total, void *user_data) {
    (void)user_data;
    return done <= total;
}

/* Each makes the handle anew, whatever became of the one before. */
#define REMAKE(type, ...) \
    static void remake_##type(void) { \
        opendb_##type##_free(type); \
        type = NULL; \
        CHECK((__VA_ARGS__) == OPENDB_OK && type != NULL); \
    }

static opendb_view pinned_view;
static const opendb_view key_view = {(const uint8_t *)"k", 1}, wrong_view = {NULL, 1};

REMAKE(keyspace, opendb_keyspace_open(database, "space", &keyspace, NULL))
REMAKE(snapshot, opendb_snapshot_new(database, &snapshot, NULL))
REMAKE(batch, opendb_batch_new(database, &batch, NULL))
REMAKE(transaction, opendb_transaction_begin(database, &transaction, NULL))
REMAKE(iterator, opendb_iter(database, NULL, &iterator, NULL))
REMAKE(options, (options = opendb_options_new()) == NULL)
REMAKE(names, opendb_keyspaces(database, &names, NULL))
REMAKE(pinned, opendb_get_pinned(database, B("k"), &pinned, &pinned_view, NULL))
REMAKE(values, opendb_get_many(database, &key_view, 1, &values, NULL))
REMAKE(value_reader, opendb_value_reader_new(database, B("k"), &value_reader, NULL))
REMAKE(value_writer, opendb_value_writer_new(database, B("w"), 1, &value_writer, NULL))
REMAKE(verification, opendb_verify(database, &verification, NULL))
REMAKE(error, opendb_flush(NULL, &error) != OPENDB_ERROR_INVALID_ARGUMENT)

static void remake_database(void) {
    opendb_close(database, NULL);
    CHECK(snprintf(below, sizeof below, "%s/db", directory) < (int)sizeof below);
    CHECK(opendb_open(below, NULL, &database, NULL) == OPENDB_OK);
    CHECK(opendb_put(database, B("k"), B("value"), NULL) == OPENDB_OK);
    remake_keyspace();
    CHECK(opendb_keyspace_put(keyspace, B("k"), B("value"), NULL) == OPENDB_OK);
    remake_snapshot();
    remake_batch();
    remake_transaction();
    remake_iterator();
    remake_options();
    remake_names();
    remake_pinned();
    remake_values();
    remake_value_reader();
    remake_value_writer();
    remake_verification();
    remake_error();
}

static void free_all(void) {
    opendb_keyspace_free(keyspace);
    opendb_snapshot_free(snapshot);
    opendb_batch_free(batch);
    opendb_transaction_free(transaction);
    opendb_iterator_free(iterator);
    opendb_options_free(options);
    opendb_names_free(names);
    opendb_pinned_free(pinned);
    opendb_values_free(values);
    opendb_value_reader_free(value_reader);
    opendb_value_writer_free(value_writer);
    opendb_verification_free(verification);
    opendb_error_free(error);
}

/* Where a call puts its results; what is in them is freed behind it. */
static opendb_database *database_out;
static opendb_keyspace *keyspace_out;
static opendb_snapshot *snapshot_out;
static opendb_batch *batch_out;
static opendb_transaction *transaction_out;
static opendb_iterator *iterator_out;
static opendb_names *names_out;
static opendb_pinned *pinned_out;
static opendb_values *values_out;
static opendb_value_reader *value_reader_out;
static opendb_value_writer *value_writer_out;
static opendb_verification *verification_out;
static opendb_bytes bytes_out;
static opendb_view view_out, view_out_2;
static uint64_t count_out;
static int64_t sum_out;

#endif
