/* Opening, options, the key-value calls on the database and on keyspaces, limits, closing. */
#include "check.h"

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static void values(opendb_database *database) {
    opendb_bytes value;
    opendb_view view;
    opendb_pinned *pinned;
    uint64_t count;
    OK(opendb_put(database, B("user:1"), B("Alice"), &error));
    OK(opendb_put_with(database, B("user:2"), B("Bob"), OPENDB_DURABILITY_SYNC, &error));
    OK(opendb_put(database, B("user:1"), B("Alice again"), &error));
    OK(opendb_get(database, B("user:1"), &value, &error));
    CHECK(SAME(value, "Alice again"));
    opendb_bytes_free(&value);
    CHECK(value.data == NULL && value.length == 0);
    opendb_bytes_free(&value);
    OK(opendb_get_pinned(database, B("user:2"), &pinned, &view, &error));
    CHECK(SAME(view, "Bob"));
    opendb_pinned_free(pinned);
    OK(opendb_exists(database, B("user:1"), &error));
    ABSENT(opendb_exists(database, B("user:3"), &error));
    ABSENT(opendb_get(database, B("user:3"), &value, &error));
    CHECK(value.data == NULL && value.length == 0);
    ABSENT(opendb_get_pinned(database, B("user:3"), &pinned, &view, &error));
    CHECK(pinned == NULL && view.data == NULL && view.length == 0);
    OK(opendb_len(database, &count, &error));
    CHECK(count == 2);
    OK(opendb_delete(database, B("user:1"), &error));
    OK(opendb_delete(database, B("user:1"), &error));
    OK(opendb_delete_with(database, B("user:2"), OPENDB_DURABILITY_BUFFERED, &error));
    ABSENT(opendb_exists(database, B("user:1"), &error));
    OK(opendb_len(database, &count, &error));
    CHECK(count == 0);
}

static void updates(opendb_database *database) {
    opendb_keyspace *keyspace;
    opendb_view old = {(const uint8_t *)"old", 3}, new = {(const uint8_t *)"new", 3};
    int64_t sum;
    OK(opendb_keyspace_open(database, "sessions", &keyspace, &error));
    OK(opendb_compare_and_swap(database, B("swapped"), NULL, &old, &error));
    ABSENT(opendb_compare_and_swap(database, B("swapped"), NULL, &new, &error));
    OK(opendb_compare_and_swap_with(database, B("swapped"), &old, &new, OPENDB_DURABILITY_SYNC, &error));
    OK(opendb_compare_and_swap(database, B("swapped"), &new, NULL, &error));
    ABSENT(opendb_exists(database, B("swapped"), &error));
    OK(opendb_keyspace_compare_and_swap(keyspace, B("swapped"), NULL, &old, &error));
    ABSENT(opendb_keyspace_compare_and_swap_with(keyspace, B("swapped"), &new, NULL, 0, &error));
    opendb_bytes taken;
    OK(opendb_put(database, B("job"), B("mow"), &error));
    OK(opendb_take(database, B("job"), &taken, &error));
    CHECK(SAME(taken, "mow"));
    opendb_bytes_free(&taken);
    ABSENT(opendb_take_with(database, B("job"), OPENDB_DURABILITY_SYNC, &taken, &error));
    CHECK(taken.data == NULL && taken.length == 0);
    OK(opendb_keyspace_put(keyspace, B("job"), B(""), &error));
    OK(opendb_keyspace_take_with(keyspace, B("job"), OPENDB_DURABILITY_BUFFERED, &taken, &error));
    ABSENT(opendb_keyspace_take(keyspace, B("job"), &taken, &error));
    OK(opendb_increment(database, B("count"), -2, &sum, &error));
    CHECK(sum == -2);
    OK(opendb_increment_with(database, B("count"), 44, OPENDB_DURABILITY_SYNC, &sum, &error));
    CHECK(sum == 42);
    REFUSED("beyond", opendb_increment(database, B("count"), INT64_MAX, &sum, &error));
    OK(opendb_keyspace_increment(keyspace, B("count"), 1, &sum, &error));
    OK(opendb_keyspace_increment_with(keyspace, B("count"), 1, 0, &sum, &error));
    CHECK(sum == 2);
    REFUSED("has 3 bytes", opendb_keyspace_increment(keyspace, B("swapped"), 1, &sum, &error));
    CHECK(sum == 0);
    REFUSED("sum_out is NULL", opendb_increment(database, B("count"), 1, NULL, &error));
    OK(opendb_delete(database, B("count"), &error));
    OK(opendb_keyspace_delete(keyspace, B("count"), &error));
    OK(opendb_keyspace_delete(keyspace, B("swapped"), &error));
    opendb_keyspace_free(keyspace);
}

static void many(opendb_database *database) {
    opendb_values *values;
    opendb_view view;
    opendb_view keys[] = {{(const uint8_t *)"c", 1}, {(const uint8_t *)"absent", 6}, {NULL, 0}, {(const uint8_t *)"a", 1}};
    OK(opendb_put(database, B("a"), B("first"), &error));
    OK(opendb_put(database, B("c"), B(""), &error));
    OK(opendb_get_many(database, keys, 4, &values, &error));
    OK(opendb_delete(database, B("a"), &error));
    CHECK(opendb_values_length(values) == 4);
    OK(opendb_values_at(values, 0, &view, &error));
    CHECK(view.length == 0);
    ABSENT(opendb_values_at(values, 1, &view, &error));
    CHECK(view.data == NULL && view.length == 0);
    ABSENT(opendb_values_at(values, 2, &view, &error));
    OK(opendb_values_at(values, 3, &view, &error));
    CHECK(SAME(view, "first"));
    REFUSED("index is 4, and there are 4 values", opendb_values_at(values, 4, &view, &error));
    REFUSED("value_out is NULL", opendb_values_at(values, 0, NULL, &error));
    opendb_values_free(values);
    opendb_values_free(values);
    CHECK(opendb_values_length(values) == 0 && opendb_values_length(NULL) == 0);
    REFUSED("values", opendb_values_at(values, 0, &view, &error));
    OK(opendb_get_many(database, NULL, 0, &values, &error));
    CHECK(opendb_values_length(values) == 0);
    opendb_values_free(values);
    REFUSED("keys is no address of 1 views", opendb_get_many(database, NULL, 1, &values, &error));
    CHECK(values == NULL);
    REFUSED("keys: no memory", opendb_get_many(database, keys, SIZE_MAX, &values, &error));
    keys[1] = (opendb_view){NULL, 6};
    REFUSED("keys is NULL and its length is 6", opendb_get_many(database, keys, 4, &values, &error));
    REFUSED("values_out is NULL", opendb_get_many(database, keys, 1, NULL, &error));
    OK(opendb_delete(database, B("c"), &error));
}

/* Any byte may stand in a key or a value, none at all included. */
static void any_bytes(opendb_database *database) {
    opendb_bytes value;
    opendb_view view;
    opendb_pinned *pinned;
    OK(opendb_put(database, B("zero\0inside"), B("\0\xff\0"), &error));
    ABSENT(opendb_exists(database, B("zero"), &error));
    OK(opendb_get(database, B("zero\0inside"), &value, &error));
    CHECK(SAME(value, "\0\xff\0"));
    opendb_bytes_free(&value);
    OK(opendb_put(database, NULL, 0, NULL, 0, &error));
    OK(opendb_exists(database, "", 0, &error));
    OK(opendb_get(database, "", 0, &value, &error));
    CHECK(value.length == 0);
    opendb_bytes_free(&value);
    OK(opendb_get_pinned(database, NULL, 0, &pinned, &view, &error));
    CHECK(view.length == 0);
    opendb_pinned_free(pinned);
    OK(opendb_delete(database, NULL, 0, &error));
    ABSENT(opendb_exists(database, NULL, 0, &error));
    OK(opendb_delete(database, B("zero\0inside"), &error));
}

static void limits(opendb_database *database) {
    char *key = malloc(OPENDB_KEY_BYTES_MAX + 1);
    size_t past = (size_t)OPENDB_VALUE_BYTES_MAX + 1;
    void *value = mmap(NULL, past, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CHECK(key != NULL && value != MAP_FAILED);
    memset(key, 'k', OPENDB_KEY_BYTES_MAX + 1);
    OK(opendb_put(database, key, OPENDB_KEY_BYTES_MAX, B("v"), &error));
    OK(opendb_exists(database, key, OPENDB_KEY_BYTES_MAX, &error));
    OK(opendb_delete(database, key, OPENDB_KEY_BYTES_MAX, &error));
    REFUSED("65536", opendb_put(database, key, OPENDB_KEY_BYTES_MAX + 1, B("v"), &error));
    REFUSED("4294967296", opendb_put(database, B("k"), value, past, &error));
    REFUSED("key: no memory", opendb_put(database, "k", SIZE_MAX, B("v"), &error));
    REFUSED("durability is 2: use OPENDB_DURABILITY_BUFFERED or OPENDB_DURABILITY_SYNC",
            opendb_put_with(database, B("k"), B("v"), 2, &error));
    REFUSED("durability is -1", opendb_delete_with(database, B("k"), -1, &error));
    ABSENT(opendb_exists(database, B("k"), &error));
    CHECK(munmap(value, past) == 0);
    free(key);
}

static void keyspaces(opendb_database *database) {
    opendb_keyspace *sessions, *same;
    opendb_bytes value;
    opendb_view view;
    opendb_pinned *pinned;
    opendb_names *names;
    uint64_t count;
    char name[OPENDB_KEYSPACE_NAME_BYTES_MAX + 2];
    OK(opendb_keyspace_open(database, "sessions", &sessions, &error));
    OK(opendb_keyspace_open(database, "sessions", &same, &error));
    CHECK(strcmp(opendb_keyspace_name(sessions), "sessions") == 0);
    OK(opendb_keyspace_put(sessions, B("a"), B("1"), &error));
    OK(opendb_keyspace_put_with(same, B("b"), B("2"), OPENDB_DURABILITY_SYNC, &error));
    OK(opendb_keyspace_get(same, B("a"), &value, &error));
    CHECK(SAME(value, "1"));
    opendb_bytes_free(&value);
    OK(opendb_keyspace_get_pinned(sessions, B("b"), &pinned, &view, &error));
    CHECK(SAME(view, "2"));
    opendb_pinned_free(pinned);
    ABSENT(opendb_exists(database, B("a"), &error));
    OK(opendb_keyspace_exists(sessions, B("a"), &error));
    OK(opendb_keyspace_len(sessions, &count, &error));
    CHECK(count == 2);
    OK(opendb_keyspace_delete(sessions, B("a"), &error));
    OK(opendb_keyspace_delete_with(sessions, B("b"), OPENDB_DURABILITY_SYNC, &error));
    ABSENT(opendb_keyspace_get(sessions, B("a"), &value, &error));
    ABSENT(opendb_keyspace_exists(sessions, B("b"), &error));
    OK(opendb_keyspaces(database, &names, &error));
    CHECK(opendb_names_length(names) == 2);
    CHECK(strcmp(opendb_names_at(names, 0), "default") == 0);
    CHECK(strcmp(opendb_names_at(names, 1), "sessions") == 0);
    CHECK(opendb_names_at(names, 2) == NULL);
    opendb_names_free(names);
    memset(name, 'n', sizeof name);
    name[sizeof name - 1] = 0;
    opendb_keyspace_free(same);
    REFUSED("name has 256 bytes", opendb_keyspace_open(database, name, &same, &error));
    CHECK(same == NULL);
    REFUSED("name has 0 bytes", opendb_keyspace_open(database, "", &same, &error));
    REFUSED("name is not UTF-8", opendb_keyspace_open(database, "\xff", &same, &error));
    opendb_keyspace_free(sessions);
}

static void options(const char *directory) {
    char path[4096];
    opendb_stats stats = OPENDB_STATS_INIT;
    opendb_options *options = opendb_options_new();
    opendb_database *database;
    snprintf(path, sizeof path, "%s/%s", directory, "options");
    OK(opendb_options_set_create(options, false, &error));
    CHECK(opendb_open(path, options, &database, NULL) > OPENDB_OK);
    CHECK(database == NULL);
    OK(opendb_options_set_create(options, true, &error));
    OK(opendb_options_set_durability(options, OPENDB_DURABILITY_SYNC, &error));
    OK(opendb_options_set_append_mode(options, OPENDB_APPEND_MODE_WRITE, &error));
    OK(opendb_options_set_mapped_reads(options, false, &error));
    OK(opendb_options_set_cache_bytes(options, 0, &error));
    OK(opendb_options_set_read_damaged(options, false, &error));
    REFUSED("durability is 7", opendb_options_set_durability(options, 7, &error));
    REFUSED("append_mode is 3: use OPENDB_APPEND_MODE_AUTO, OPENDB_APPEND_MODE_MAPPED or OPENDB_APPEND_MODE_WRITE",
            opendb_options_set_append_mode(options, 3, &error));
    OK(opendb_options_set_segment_bytes(options, OPENDB_SEGMENT_BYTES_MIN - 1, &error));
    REFUSED("segment_bytes", opendb_open(path, options, &database, &error));
    OK(opendb_options_set_segment_bytes(options, OPENDB_SEGMENT_BYTES_MAX + 1, &error));
    REFUSED("segment_bytes", opendb_open(path, options, &database, &error));
    OK(opendb_options_set_segment_bytes(options, OPENDB_SEGMENT_BYTES_MIN, &error));
    OK(opendb_open(path, options, &database, &error));
    opendb_options_free(options);
    OK(opendb_put(database, B("k"), B("v"), &error));
    OK(opendb_stats_read(database, &stats, &error));
    CHECK(stats.append_mode == OPENDB_APPEND_MODE_WRITE && stats.durable_sequence == stats.last_sequence);
    OK(opendb_close(database, &error));
}

static void maintenance(const char *directory, opendb_database *database) {
    opendb_stats stats = OPENDB_STATS_INIT;
    opendb_names *damage;
    OK(opendb_flush(database, &error));
    OK(opendb_stats_read(database, &stats, &error));
    CHECK(stats.size == sizeof stats && !stats.poisoned && stats.recovery_damaged == 0);
    CHECK(stats.keys == 0 && stats.keyspaces == 2 && stats.segments > 0 && stats.log_bytes > 0 && stats.syncs > 0);
    CHECK(stats.last_sequence > 0 && stats.durable_sequence == stats.last_sequence);
    CHECK(stats.append_mode == OPENDB_APPEND_MODE_MAPPED || stats.append_mode == OPENDB_APPEND_MODE_WRITE);
    stats.size = 1;
    REFUSED("stats.size is 1", opendb_stats_read(database, &stats, &error));
    CHECK(stats.size == 1);
    OK(opendb_recovery_damage(database, &damage, &error));
    CHECK(opendb_names_length(damage) == 0);
    opendb_names_free(damage);
    CHECK(strstr(opendb_path(database), strrchr(directory, '/')) != NULL);
    CHECK(strcmp(opendb_version(), OPENDB_VERSION) == 0);
    CHECK(OPENDB_VERSION[0] - '0' == OPENDB_VERSION_MAJOR);
}

/* What was written is there when the directory is opened again; what was pinned stays readable in between. */
static void closing(const char *directory, opendb_database *database) {
    opendb_keyspace *keyspace;
    opendb_pinned *pinned;
    opendb_view view;
    opendb_bytes value;
    opendb_iterator *iterator;
    opendb_stats stats = OPENDB_STATS_INIT;
    OK(opendb_put(database, B("kept"), B("value"), &error));
    OK(opendb_get_pinned(database, B("kept"), &pinned, &view, &error));
    OK(opendb_keyspace_open(database, "sessions", &keyspace, &error));
    OK(opendb_scan_prefix(database, NULL, 0, &iterator, &error));
    OK(opendb_close(database, &error));
    CHECK(SAME(view, "value"));
    REFUSED("not live", opendb_close(database, &error));
    REFUSED("not live", opendb_put(database, B("k"), B("v"), &error));
    FAILS(OPENDB_ERROR_CLOSED, "closed", opendb_keyspace_put(keyspace, B("k"), B("v"), &error));
    FAILS(OPENDB_ERROR_CLOSED, "closed", opendb_iterator_next(iterator, &view, NULL, &error));
    opendb_iterator_free(iterator);
    opendb_keyspace_free(keyspace);
    database = open_below(directory, "database");
    OK(opendb_stats_read(database, &stats, &error));
    CHECK(stats.recovery_clean && stats.keys == 1);
    OK(opendb_get(database, B("kept"), &value, &error));
    CHECK(SAME(value, "value"));
    OK(opendb_close(database, &error));
    opendb_bytes_free(&value);
    opendb_pinned_free(pinned);
}

/* A path is bytes: it may be of any encoding, and must not be empty. */
static void paths(const char *directory) {
    char path[4096];
    opendb_database *database;
    REFUSED("path is empty", opendb_open("", NULL, &database, &error));
    CHECK(database == NULL);
    database = open_below(directory, "not UTF-8 \xff\xfe");
    OK(opendb_put(database, B("k"), B("v"), &error));
    CHECK(strstr(opendb_path(database), "not UTF-8 \xff\xfe") != NULL);
    OK(opendb_close(database, &error));
    /* The bytes are those of the directory's name. */
    snprintf(path, sizeof path, "%s/not UTF-8 \xff\xfe", directory);
    CHECK(access(path, F_OK) == 0);
    /* What stands in the way is named. */
    snprintf(path, sizeof path, "%s/file", directory);
    fclose(fopen(path, "w"));
    FAILS(OPENDB_ERROR_IO, "/file", opendb_open(path, NULL, &database, &error));
    CHECK(database == NULL);
}

/* Two handles on one directory are one database. */
static void twice(const char *directory) {
    opendb_database *first = open_below(directory, "twice"), *second = open_below(directory, "twice");
    CHECK(first != second);
    OK(opendb_put(first, B("k"), B("v"), &error));
    OK(opendb_exists(second, B("k"), &error));
    OK(opendb_close(first, &error));
    OK(opendb_exists(second, B("k"), &error));
    OK(opendb_close(second, &error));
}

/* One that only reads follows the one that writes, and changes nothing. */
static void reading(const char *directory) {
    char path[4096];
    opendb_options *options = opendb_options_new();
    opendb_database *database, *reader;
    opendb_bytes value;
    snprintf(path, sizeof path, "%s/reading", directory);
    OK(opendb_options_set_read_only(options, true, &error));
    FAILS(OPENDB_ERROR_IO, "finding a database", opendb_open(path, options, &reader, &error));
    OK(opendb_open(path, NULL, &database, &error));
    OK(opendb_open(path, options, &reader, &error));
    opendb_options_free(options);
    OK(opendb_put(database, B("k"), B("v"), &error));
    OK(opendb_refresh(reader, &error));
    OK(opendb_get(reader, B("k"), &value, &error));
    CHECK(SAME(value, "v"));
    opendb_bytes_free(&value);
    FAILS(OPENDB_ERROR_READ_ONLY, "read_only", opendb_put(reader, B("k"), B("w"), &error));
    FAILS(OPENDB_ERROR_READ_ONLY, "read_only", opendb_flush(reader, &error));
    OK(opendb_refresh(database, &error));
    OK(opendb_close(database, &error));
    OK(opendb_exists(reader, B("k"), &error));
    OK(opendb_close(reader, &error));
}

/* Another process has the directory open for a while. */
static void waiting(const char *directory) {
    char path[4096], byte;
    int opened[2], refused[2], status;
    opendb_database *database;
    opendb_options *options = opendb_options_new();
    snprintf(path, sizeof path, "%s/waiting", directory);
    CHECK(pipe(opened) == 0 && pipe(refused) == 0);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        OK(opendb_open(path, NULL, &database, &error));
        CHECK(write(opened[1], "o", 1) == 1);
        CHECK(read(refused[0], &byte, 1) == 1);
        usleep(50 * 1000);
        OK(opendb_close(database, &error));
        _exit(0);
    }
    CHECK(read(opened[0], &byte, 1) == 1);
    FAILS(OPENDB_ERROR_LOCKED, "process", opendb_open(path, options, &database, &error));
    CHECK(write(refused[1], "r", 1) == 1);
    OK(opendb_options_set_lock_timeout(options, 60 * 1000, &error));
    OK(opendb_open(path, options, &database, &error));
    opendb_options_free(options);
    OK(opendb_close(database, &error));
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    for (int end = 0; end < 2; end++) CHECK(close(opened[end]) == 0 && close(refused[end]) == 0);
}

int main(int count, char **arguments) {
    opendb_database *database;
    CHECK(count == 2);
    waiting(arguments[1]);
    database = open_below(arguments[1], "database");
    values(database);
    many(database);
    updates(database);
    any_bytes(database);
    limits(database);
    keyspaces(database);
    maintenance(arguments[1], database);
    closing(arguments[1], database);
    options(arguments[1]);
    paths(arguments[1]);
    twice(arguments[1]);
    reading(arguments[1]);
    CHECK(opendb_handles_live() == 0);
    return 0;
}
