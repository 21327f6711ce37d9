/* What every test program shares: checks that end the program with their place, and short forms for literals. */
#ifndef CHECK_H
#define CHECK_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "opendb.h"

#define CHECK(condition) \
    do { \
        if (!(condition)) { \
            fprintf(stderr, "%s:%d: failed: %s\n", __FILE__, __LINE__, #condition); \
            exit(1); \
        } \
    } while (0)

/* A literal as a pointer and its length. */
#define B(literal) (literal), (sizeof(literal) - 1)

/* The call, given `&error` as its last argument, succeeds and leaves no error. */
#define OK(call) \
    do { \
        opendb_error *error = (opendb_error *)&error; \
        opendb_status status = (call); \
        if (status != OPENDB_OK) { \
            fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #call, \
                    status > 0 ? opendb_error_message(error) : opendb_status_name(status)); \
            exit(1); \
        } \
        CHECK(error == NULL); \
    } while (0)

/* The call finds nothing, which is no error. */
#define ABSENT(call) \
    do { \
        opendb_error *error = (opendb_error *)&error; \
        CHECK((call) == OPENDB_NOT_FOUND); \
        CHECK(error == NULL); \
    } while (0)

/* The call fails with the status and an error of that kind whose message has the text in it. */
#define FAILS(expected, text, call) \
    do { \
        opendb_error *error = NULL; \
        CHECK((call) == (expected)); \
        CHECK(opendb_error_kind(error) == (expected)); \
        if (strstr(opendb_error_message(error), (text)) == NULL) { \
            fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #call, opendb_error_message(error)); \
            exit(1); \
        } \
        opendb_error_free(error); \
    } while (0)

/* The call is refused because of an argument, and the message names it. */
#define REFUSED(text, call) FAILS(OPENDB_ERROR_INVALID_ARGUMENT, text, call)

#define SAME(bytes, literal) \
    ((bytes).length == sizeof(literal) - 1 && memcmp((bytes).data, (literal), sizeof(literal) - 1) == 0)

/* A database in a directory of its own below the one the program was given. */
static inline opendb_database *open_below(const char *directory, const char *name) {
    char path[4096];
    opendb_database *database;
    CHECK(snprintf(path, sizeof path, "%s/%s", directory, name) < (int)sizeof path);
    OK(opendb_open(path, NULL, &database, &error));
    return database;
}

/* The next entry of the iterator has this key and value. */
#define NEXT(iterator, key_literal, value_literal) \
    do { \
        opendb_view key, value; \
        OK(opendb_iterator_next(iterator, &key, &value, &error)); \
        CHECK(SAME(key, key_literal)); \
        CHECK(SAME(value, value_literal)); \
    } while (0)

/* The iterator is at its end, and stays there. */
#define END(iterator) \
    do { \
        opendb_view key, value; \
        ABSENT(opendb_iterator_next(iterator, &key, &value, &error)); \
        CHECK(key.data == NULL && key.length == 0 && value.data == NULL && value.length == 0); \
        ABSENT(opendb_iterator_next(iterator, &key, NULL, &error)); \
        opendb_iterator_free(iterator); \
    } while (0)

#endif
