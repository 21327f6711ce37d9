/* Threads that call anything with anything: handles that others use, free and consume at the same time, and what is none. */
#ifndef THREADS_H
#define THREADS_H

enum { THREADS = 4, ROUNDS = 500, PLACES = 3, SELDOM = 40 };

enum handle_type {
    DATABASE, KEYSPACE, SNAPSHOT, BATCH, TRANSACTION, ITERATOR, OPTIONS, NAMES, PINNED, VALUES, VALUE_READER,
    VALUE_WRITER, VERIFICATION, ERROR, TYPES
};

static void *shared[TYPES][PLACES];

static unsigned next(unsigned *random) {
    *random = *random * 1664525u + 1013904223u;
    return *random >> 8;
}

/* A handle that others have as well, mostly of this type. */
static void *any(enum handle_type type, unsigned *random) {
    switch (next(random) % 32) {
        case 0: return NULL;
        case 1: return &object;
        case 2: return MADE_UP;
        case 3: type = (enum handle_type)(next(random) % TYPES);
    }
    return __atomic_load_n(&shared[type][next(random) % PLACES], __ATOMIC_SEQ_CST);
}

static void give_up(enum handle_type type, void *handle) {
    switch (type) {
        case DATABASE: opendb_close(handle, NULL); break;
        case KEYSPACE: opendb_keyspace_free(handle); break;
        case SNAPSHOT: opendb_snapshot_free(handle); break;
        case BATCH: opendb_batch_free(handle); break;
        case TRANSACTION: opendb_transaction_free(handle); break;
        case ITERATOR: opendb_iterator_free(handle); break;
        case OPTIONS: opendb_options_free(handle); break;
        case NAMES: opendb_names_free(handle); break;
        case PINNED: opendb_pinned_free(handle); break;
        case VALUES: opendb_values_free(handle); break;
        case VALUE_READER: opendb_value_reader_free(handle); break;
        case VALUE_WRITER: opendb_value_writer_free(handle); break;
        case VERIFICATION: opendb_verification_free(handle); break;
        default: opendb_error_free(handle);
    }
}

/* Puts a new handle where others find it, and frees the one that was there, whoever uses that. */
static void share(enum handle_type type, void *handle, unsigned *random) {
    if (handle != NULL) {
        give_up(type, __atomic_exchange_n(&shared[type][next(random) % PLACES], handle, __ATOMIC_SEQ_CST));
    }
}

/* No argument is a fault of the library. */
static void no_fault(const char *function, opendb_status status) {
    if (status == OPENDB_ERROR_INTERNAL) {
        fprintf(stderr, "%s: INTERNAL\n", function);
        exit(1);
    }
}

static void call_anything(unsigned *random);

static void *torment(void *argument) {
    unsigned random = (unsigned)(uintptr_t)argument;
    int round;
    for (round = 0; round < ROUNDS; round++) {
        call_anything(&random);
    }
    return NULL;
}

static void torment_all(void) {
    pthread_t threads[THREADS];
    uintptr_t at;
    int type, place;
    for (at = 0; at < THREADS; at++) {
        CHECK(pthread_create(&threads[at], NULL, torment, (void *)at) == 0);
    }
    for (at = 0; at < THREADS; at++) {
        CHECK(pthread_join(threads[at], NULL) == 0);
    }
    for (type = TYPES - 1; type >= 0; type--) {
        for (place = 0; place < PLACES; place++) {
            give_up((enum handle_type)type, shared[type][place]);
        }
    }
    CHECK(opendb_handles_live() == 0);
}

#endif
