/* One database under many threads: puts, counters by transact, and a handle that is freed while others use it. */
#include "check.h"

#include <pthread.h>

enum { THREADS = 8, ROUNDS = 50 };

struct worker {
    pthread_t thread;
    opendb_database *database;
    opendb_keyspace *keyspace;
    int number;
};

static opendb_status add_one(opendb_transaction *transaction, void *user_data) {
    uint64_t count = 0;
    opendb_bytes value;
    opendb_status status = opendb_transaction_get(transaction, "default", B("count"), &value, NULL);
    (void)user_data;
    if (status == OPENDB_OK) {
        memcpy(&count, value.data, sizeof count);
        opendb_bytes_free(&value);
    } else if (status != OPENDB_NOT_FOUND) {
        return status;
    }
    count += 1;
    return opendb_transaction_put(transaction, "default", B("count"), &count, sizeof count, NULL);
}

static void *work(void *argument) {
    struct worker *worker = argument;
    int round;
    for (round = 0; round < ROUNDS; round++) {
        char key[32];
        int length = snprintf(key, sizeof key, "key:%d:%d", worker->number, round);
        opendb_status status;
        OK(opendb_put(worker->database, key, (size_t)length, B("v"), &error));
        OK(opendb_exists(worker->database, key, (size_t)length, &error));
        /* The work gives up after many conflicts in a row: then it is for the caller to go on. */
        do {
            status = opendb_transact(worker->database, add_one, NULL, NULL);
        } while (status == OPENDB_ERROR_TRANSACTION);
        CHECK(status == OPENDB_OK);
        /* One of the threads frees this keyspace under the others: from then on it is no live handle. */
        if (worker->number == 0 && round == ROUNDS / 2) {
            opendb_keyspace_free(worker->keyspace);
        }
        status = opendb_keyspace_put(worker->keyspace, key, (size_t)length, B("v"), NULL);
        CHECK(status == OPENDB_OK || status == OPENDB_ERROR_INVALID_ARGUMENT);
    }
    return NULL;
}

int main(int count, char **arguments) {
    struct worker workers[THREADS];
    opendb_database *database;
    opendb_keyspace *keyspace;
    opendb_bytes value;
    uint64_t counted, keys;
    int number;
    CHECK(count == 2);
    database = open_below(arguments[1], "threads");
    OK(opendb_keyspace_open(database, "shared", &keyspace, &error));
    for (number = 0; number < THREADS; number++) {
        workers[number].database = database;
        workers[number].keyspace = keyspace;
        workers[number].number = number;
        CHECK(pthread_create(&workers[number].thread, NULL, work, &workers[number]) == 0);
    }
    for (number = 0; number < THREADS; number++) {
        CHECK(pthread_join(workers[number].thread, NULL) == 0);
    }
    OK(opendb_get(database, B("count"), &value, &error));
    CHECK(value.length == sizeof counted);
    memcpy(&counted, value.data, sizeof counted);
    opendb_bytes_free(&value);
    CHECK(counted == THREADS * ROUNDS);
    OK(opendb_len(database, &keys, &error));
    CHECK(keys == THREADS * ROUNDS + 1);
    OK(opendb_close(database, &error));
    CHECK(opendb_handles_live() == 0);
    return 0;
}
