/* The C part of the demonstration: reads every file back, compares its length and checksum with what Rust wrote beside
 * it, and checks that the counters which Node changed still add up. */

#define _POSIX_C_SOURCE 200809L

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "opendb.h"

static uint32_t crc_table[256];

/* CRC-32C (Castagnoli), reflected, one byte at a time. */
static void crc_prepare(void) {
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t rest = byte;
        for (int bit = 0; bit < 8; bit++) {
            rest = (rest >> 1) ^ (rest & 1 ? 0x82f63b78u : 0);
        }
        crc_table[byte] = rest;
    }
}

static uint32_t crc_of(const uint8_t *data, size_t length) {
    uint32_t crc = 0xffffffffu;
    for (size_t at = 0; at < length; at++) {
        crc = (crc >> 8) ^ crc_table[(crc ^ data[at]) & 0xff];
    }
    return crc ^ 0xffffffffu;
}

static uint64_t little_endian(const uint8_t *data, size_t length) {
    uint64_t number = 0;
    for (size_t at = length; at > 0; at--) {
        number = (number << 8) | data[at - 1];
    }
    return number;
}

static double seconds_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Ends the program with the message of a failed call. */
static void check(opendb_status status, opendb_error *error, const char *what) {
    if (status > OPENDB_OK) {
        fprintf(stderr, "%s: %s: %s\n", what, opendb_status_name(status), opendb_error_message(error));
        opendb_error_free(error);
        exit(1);
    }
}

static void verify_files(opendb_database *database) {
    opendb_error *error = NULL;
    opendb_keyspace *sums = NULL;
    opendb_iterator *files = NULL;
    check(opendb_keyspace_open(database, "sums", &sums, &error), error, "opening the keyspace of the checksums");
    check(opendb_iter(database, NULL, &files, &error), error, "beginning a scan");

    double begin = seconds_now();
    uint64_t count = 0, bytes = 0;
    opendb_view key, content;
    for (;;) {
        opendb_status status = opendb_iterator_next(files, &key, &content, &error);
        check(status, error, "reading the next file");
        if (status == OPENDB_NOT_FOUND) {
            break;
        }
        opendb_bytes sum;
        status = opendb_keyspace_get(sums, key.data, key.length, &sum, &error);
        check(status, error, "reading a checksum");
        if (status == OPENDB_NOT_FOUND || sum.length != 12 || little_endian(sum.data, 8) != content.length ||
            little_endian(sum.data + 8, 4) != crc_of(content.data, content.length)) {
            fprintf(stderr, "file %" PRIu64 " of the scan differs from what was loaded\n", count);
            exit(1);
        }
        opendb_bytes_free(&sum);
        count++;
        bytes += content.length;
    }
    double seconds = seconds_now() - begin;
    opendb_iterator_free(files);

    uint64_t expected = 0;
    check(opendb_keyspace_len(sums, &expected, &error), error, "counting the checksums");
    if (count == 0 || count != expected) {
        fprintf(stderr, "%" PRIu64 " files were read, %" PRIu64 " were loaded\n", count, expected);
        exit(1);
    }
    opendb_keyspace_free(sums);
    printf("  verified %" PRIu64 " files, %" PRIu64 " MiB, length and checksum of each: %.2f s, %.0f MiB/s\n", count,
           bytes >> 20, seconds, (double)bytes / 1048576.0 / seconds);
}

static void verify_counters(opendb_database *database) {
    opendb_error *error = NULL;
    opendb_keyspace *counters = NULL;
    opendb_iterator *entries = NULL;
    check(opendb_keyspace_open(database, "counters", &counters, &error), error, "opening the counters");
    check(opendb_keyspace_iter(counters, NULL, &entries, &error), error, "scanning the counters");
    uint64_t count = 0, sum = 0, total = 0;
    opendb_view key, value;
    for (;;) {
        opendb_status status = opendb_iterator_next(entries, &key, &value, &error);
        check(status, error, "reading the next counter");
        if (status == OPENDB_NOT_FOUND) {
            break;
        }
        if (key.length == 5 && memcmp(key.data, "total", 5) == 0) {
            total = little_endian(value.data, value.length);
        } else {
            sum += little_endian(value.data, value.length);
            count++;
        }
    }
    opendb_iterator_free(entries);
    opendb_keyspace_free(counters);
    if (count == 0 || sum != total) {
        fprintf(stderr, "%" PRIu64 " counters add up to %" PRIu64 ", the total says %" PRIu64 "\n", count, sum, total);
        exit(1);
    }
    printf("  verified %" PRIu64 " counters: they add up to their total of %" PRIu64 "\n", count, total);
}

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: %s <directory of the database>\n", argv[0]);
        return 1;
    }
    crc_prepare();
    opendb_error *error = NULL;
    opendb_database *database = NULL;
    check(opendb_open(argv[1], NULL, &database, &error), error, "opening the database");
    verify_files(database);
    verify_counters(database);
    check(opendb_close(database, &error), error, "closing the database");
    return 0;
}
