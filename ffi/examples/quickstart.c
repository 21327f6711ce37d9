#include <opendb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static opendb_error *error;
static opendb_status must(opendb_status status) {
    if (status <= OPENDB_OK) return status; /* OPENDB_OK or OPENDB_NOT_FOUND */
    fprintf(stderr, "%s\n", opendb_error_message(error));
    exit(1);
}

int main(int argc, char **argv) {
    opendb_database *db;
    must(opendb_open(argc > 1 ? argv[1] : "quickstart.db", NULL, &db, &error));
    must(opendb_put(db, "user:1", 6, "Alice", 5, &error));
    must(opendb_put(db, "user:2", 6, "Bob", 3, &error));

    opendb_iterator *users;
    opendb_view key, value;
    must(opendb_scan_prefix(db, "user:", 5, &users, &error));
    while (must(opendb_iterator_next(users, &key, &value, &error)) == OPENDB_OK)
        printf("%.*s = %.*s\n", (int)key.length, (char *)key.data, (int)value.length, (char *)value.data);
    opendb_iterator_free(users);

    opendb_transaction *txn;
    opendb_bytes old;
    uint64_t visits = 0;
    must(opendb_transaction_begin(db, &txn, &error));
    must(opendb_transaction_get(txn, "default", "visits", 6, &old, &error));
    if (old.length == sizeof visits) memcpy(&visits, old.data, sizeof visits);
    opendb_bytes_free(&old);
    visits += 1;
    must(opendb_transaction_put(txn, "default", "visits", 6, &visits, sizeof visits, &error));
    must(opendb_transaction_commit(txn, &error));
    printf("visits: %llu\n", (unsigned long long)visits);
    must(opendb_close(db, &error));
}
