/* Scans and iterators on databases, keyspaces and snapshots; snapshots themselves. */
#include "check.h"

static opendb_iterator *scan(opendb_database *database, const opendb_scan *wanted) {
    opendb_iterator *iterator;
    OK(opendb_iter(database, wanted, &iterator, &error));
    return iterator;
}

static void bounds(opendb_database *database) {
    opendb_scan wanted = OPENDB_SCAN_INIT;
    opendb_iterator *iterator = scan(database, NULL);
    NEXT(iterator, "a", "0");
    NEXT(iterator, "user:1", "1");
    NEXT(iterator, "user:2", "2");
    NEXT(iterator, "user:3", "3");
    NEXT(iterator, "z", "4");
    END(iterator);
    iterator = scan(database, &wanted);
    NEXT(iterator, "a", "0");
    opendb_iterator_free(iterator);

    OK(opendb_scan_prefix(database, B("user:"), &iterator, &error));
    NEXT(iterator, "user:1", "1");
    NEXT(iterator, "user:2", "2");
    NEXT(iterator, "user:3", "3");
    END(iterator);

    wanted.prefix = "user:";
    wanted.prefix_length = 5;
    wanted.flags = OPENDB_SCAN_REVERSE;
    wanted.start_after = "user:3";
    wanted.start_after_length = 6;
    wanted.limit = 1;
    iterator = scan(database, &wanted);
    NEXT(iterator, "user:2", "2");
    END(iterator);
    wanted.limit = 0;
    iterator = scan(database, &wanted);
    END(iterator);
}

static void ranges(opendb_database *database) {
    opendb_scan wanted = OPENDB_SCAN_INIT;
    opendb_iterator *iterator;
    wanted.from = "user:2";
    wanted.from_length = 6;
    wanted.until = "z";
    wanted.until_length = 1;
    wanted.flags = OPENDB_SCAN_KEYS_ONLY;
    iterator = scan(database, &wanted);
    NEXT(iterator, "user:2", "");
    NEXT(iterator, "user:3", "");
    END(iterator);
    /* A bound that is empty is a bound; one that is NULL is none. */
    wanted.until = "";
    wanted.until_length = 0;
    iterator = scan(database, &wanted);
    END(iterator);
}

static void refusals(opendb_database *database) {
    opendb_scan wanted = OPENDB_SCAN_INIT;
    opendb_iterator *iterator;
    wanted.flags = 4;
    REFUSED("scan.flags is 4: use OPENDB_SCAN_REVERSE, OPENDB_SCAN_KEYS_ONLY",
            opendb_iter(database, &wanted, &iterator, &error));
    CHECK(iterator == NULL);
    wanted.flags = 0;
    wanted.reserved = 7;
    REFUSED("scan.reserved is 7", opendb_iter(database, &wanted, &iterator, &error));
    wanted.reserved = 0;
    wanted.size = 0;
    REFUSED("scan.size is 0", opendb_iter(database, &wanted, &iterator, &error));
    wanted.size = sizeof wanted;
    wanted.prefix_length = 3;
    REFUSED("prefix is NULL", opendb_iter(database, &wanted, &iterator, &error));
}

static void keyspaces(opendb_database *database) {
    opendb_keyspace *keyspace;
    opendb_iterator *iterator;
    opendb_scan wanted = OPENDB_SCAN_INIT;
    OK(opendb_keyspace_open(database, "other", &keyspace, &error));
    OK(opendb_keyspace_put(keyspace, B("user:9"), B("9"), &error));
    OK(opendb_keyspace_put(keyspace, B("x"), B("8"), &error));
    OK(opendb_keyspace_iter(keyspace, &wanted, &iterator, &error));
    NEXT(iterator, "user:9", "9");
    NEXT(iterator, "x", "8");
    END(iterator);
    OK(opendb_keyspace_scan_prefix(keyspace, B("user:"), &iterator, &error));
    NEXT(iterator, "user:9", "9");
    END(iterator);
    opendb_keyspace_free(keyspace);
}

/* A snapshot, and an iterator too, show the moment at which they were made. */
static void snapshots(opendb_database *database) {
    opendb_snapshot *snapshot, *other, *missing;
    opendb_iterator *iterator, *later;
    opendb_bytes value;
    opendb_pinned *pinned;
    opendb_view view;
    OK(opendb_snapshot_new(database, &snapshot, &error));
    OK(opendb_scan_prefix(database, B("user:"), &later, &error));
    OK(opendb_put(database, B("user:1"), B("changed"), &error));
    OK(opendb_delete(database, B("user:2"), &error));
    OK(opendb_put(database, B("user:4"), B("new"), &error));
    OK(opendb_snapshot_get(snapshot, B("user:1"), &value, &error));
    CHECK(SAME(value, "1"));
    opendb_bytes_free(&value);
    OK(opendb_snapshot_get_pinned(snapshot, B("user:2"), &pinned, &view, &error));
    CHECK(SAME(view, "2"));
    opendb_pinned_free(pinned);
    OK(opendb_snapshot_exists(snapshot, B("user:2"), &error));
    ABSENT(opendb_snapshot_exists(snapshot, B("user:4"), &error));
    ABSENT(opendb_snapshot_get(snapshot, B("user:4"), &value, &error));
    OK(opendb_snapshot_scan_prefix(snapshot, B("user:"), &iterator, &error));
    opendb_snapshot_keyspace(snapshot, "other", &other, NULL);
    opendb_snapshot_free(snapshot);
    NEXT(iterator, "user:1", "1");
    NEXT(iterator, "user:2", "2");
    NEXT(iterator, "user:3", "3");
    END(iterator);
    NEXT(later, "user:1", "1");
    NEXT(later, "user:2", "2");
    opendb_iterator_free(later);
    OK(opendb_snapshot_iter(other, NULL, &iterator, &error));
    NEXT(iterator, "user:9", "9");
    opendb_iterator_free(iterator);
    FAILS(OPENDB_ERROR_KEYSPACE_NOT_FOUND, "missing", opendb_snapshot_keyspace(other, "missing", &missing, &error));
    CHECK(missing == NULL);
    opendb_snapshot_free(other);
}

int main(int count, char **arguments) {
    opendb_database *database;
    CHECK(count == 2);
    database = open_below(arguments[1], "scan");
    OK(opendb_put(database, B("user:3"), B("3"), &error));
    OK(opendb_put(database, B("z"), B("4"), &error));
    OK(opendb_put(database, B("user:1"), B("1"), &error));
    OK(opendb_put(database, B("a"), B("0"), &error));
    OK(opendb_put(database, B("user:2"), B("2"), &error));
    bounds(database);
    ranges(database);
    refusals(database);
    keyspaces(database);
    snapshots(database);
    OK(opendb_close(database, &error));
    CHECK(opendb_handles_live() == 0);
    return 0;
}
