/* Values that are read and written piece by piece, and keyspaces whose values are compressed. */
#include "check.h"

enum { LARGE = 3 * 1024 * 1024 + 77, PIECE = 100 * 1000 };

static char *pattern(void) {
    char *value = malloc(LARGE);
    CHECK(value != NULL);
    for (size_t at = 0; at < LARGE; ++at) {
        value[at] = (char)(at * 31 + at / 251);
    }
    return value;
}

static void write_in_pieces(opendb_value_writer *writer, const char *value, size_t length) {
    for (size_t at = 0; at < length; at += PIECE) {
        size_t piece = length - at < PIECE ? length - at : PIECE;
        OK(opendb_value_writer_write(writer, value + at, piece, &error));
    }
}

/* Reads to the end and frees the reader. */
static void check_read(opendb_value_reader *reader, const char *value, size_t length) {
    char *piece = malloc(PIECE);
    size_t at = 0;
    uint64_t count;
    CHECK(piece != NULL);
    CHECK(opendb_value_reader_length(reader) == length);
    do {
        OK(opendb_value_reader_read(reader, piece, PIECE, &count, &error));
        CHECK(count <= length - at && memcmp(piece, value + at, count) == 0);
        at += count;
    } while (count > 0);
    CHECK(at == length);
    opendb_value_reader_free(reader);
    free(piece);
}

static void pieces(opendb_database *database, const char *value) {
    opendb_keyspace *films;
    opendb_snapshot *before, *films_before;
    opendb_value_writer *writer, *other;
    opendb_value_reader *reader;
    const size_t lengths[] = {0, 1, PIECE, 1024 * 1024, LARGE};
    OK(opendb_keyspace_open(database, "films", &films, &error));
    for (size_t at = 0; at < sizeof lengths / sizeof *lengths; ++at) {
        OK(opendb_value_writer_new(database, B("film"), lengths[at], &writer, &error));
        OK(opendb_keyspace_value_writer(films, B("film"), lengths[at], &other, &error));
        write_in_pieces(writer, value, lengths[at]);
        write_in_pieces(other, value, lengths[at]);
        OK(opendb_value_writer_finish(writer, &error));
        OK(opendb_value_writer_finish_with(other, OPENDB_DURABILITY_SYNC, &error));
        OK(opendb_value_reader_new(database, B("film"), &reader, &error));
        check_read(reader, value, lengths[at]);
        OK(opendb_keyspace_value_reader(films, B("film"), &reader, &error));
        check_read(reader, value, lengths[at]);
        REFUSED("not live", opendb_value_writer_write(writer, B("x"), &error));
        REFUSED("not live", opendb_value_writer_finish(writer, &error));
        opendb_value_writer_free(writer);
    }
    OK(opendb_snapshot_new(database, &before, &error));
    OK(opendb_snapshot_keyspace(before, "films", &films_before, &error));
    OK(opendb_keyspace_put(films, B("film"), B("short"), &error));
    OK(opendb_snapshot_value_reader(films_before, B("film"), &reader, &error));
    check_read(reader, value, LARGE);
    ABSENT(opendb_snapshot_value_reader(before, B("nothing"), &reader, &error));
    CHECK(reader == NULL);
    ABSENT(opendb_value_reader_new(database, B("nothing"), &reader, &error));
    ABSENT(opendb_keyspace_value_reader(films, B("nothing"), &reader, &error));
    opendb_snapshot_free(before);
    opendb_snapshot_free(films_before);
    opendb_keyspace_free(films);
}

static void places(opendb_database *database) {
    opendb_value_reader *reader;
    char buffer[8] = "unused!";
    uint64_t count = 5;
    OK(opendb_put(database, B("digits"), B("0123456789"), &error));
    OK(opendb_value_reader_new(database, B("digits"), &reader, &error));
    OK(opendb_value_reader_seek(reader, 7, &error));
    OK(opendb_value_reader_read(reader, buffer, 8, &count, &error));
    CHECK(count == 3 && memcmp(buffer, "789", 3) == 0);
    CHECK(memcmp(buffer + 3, "sed!", 4) == 0);
    OK(opendb_value_reader_read(reader, buffer, 8, &count, &error));
    CHECK(count == 0);
    OK(opendb_value_reader_seek(reader, UINT64_MAX, &error));
    OK(opendb_value_reader_read(reader, NULL, 0, &count, &error));
    CHECK(count == 0);
    OK(opendb_value_reader_seek(reader, 0, &error));
    count = 5;
    REFUSED("buffer is NULL", opendb_value_reader_read(reader, NULL, 4, &count, &error));
    CHECK(count == 0);
    REFUSED("count_out is NULL", opendb_value_reader_read(reader, buffer, 4, NULL, &error));
    REFUSED("another type", opendb_value_reader_read((opendb_value_reader *)(void *)database, buffer, 4, &count, &error));
    opendb_value_reader_free(reader);
    opendb_value_reader_free(reader);
    REFUSED("not live", opendb_value_reader_seek(reader, 0, &error));
    CHECK(opendb_value_reader_length(reader) == 0 && opendb_value_reader_length(NULL) == 0);
    opendb_value_reader_free(NULL);
}

static void refusals(opendb_database *database) {
    opendb_value_writer *writer;
    REFUSED("4294967296", opendb_value_writer_new(database, B("k"), (uint64_t)OPENDB_VALUE_BYTES_MAX + 1, &writer, &error));
    CHECK(writer == NULL);
    REFUSED("writer_out is NULL", opendb_value_writer_new(database, B("k"), 1, NULL, &error));
    OK(opendb_value_writer_new(database, B("k"), 4, &writer, &error));
    REFUSED("5 bytes", opendb_value_writer_write(writer, B("12345"), &error));
    REFUSED("piece is NULL", opendb_value_writer_write(writer, NULL, 2, &error));
    OK(opendb_value_writer_write(writer, B("123"), &error));
    REFUSED("3 bytes", opendb_value_writer_finish(writer, &error));
    REFUSED("not live", opendb_value_writer_write(writer, B("4"), &error));
    OK(opendb_value_writer_new(database, B("k"), 0, &writer, &error));
    REFUSED("durability is 9", opendb_value_writer_finish_with(writer, 9, &error));
    OK(opendb_value_writer_new(database, B("k"), LARGE, &writer, &error));
    OK(opendb_value_writer_write(writer, B("half"), &error));
    opendb_value_writer_free(writer);
    opendb_value_writer_free(writer);
    opendb_value_writer_free(NULL);
    ABSENT(opendb_exists(database, B("k"), &error));
}

static void compression(opendb_database *database) {
    opendb_keyspace *pages, *plain;
    opendb_stats before = OPENDB_STATS_INIT, after = OPENDB_STATS_INIT;
    opendb_bytes value;
    char text[50 * 1000];
    for (size_t at = 0; at < sizeof text; ++at) {
        text[at] = "the same line once more\n"[at % 24];
    }
    OK(opendb_keyspace_open_with(database, "pages", OPENDB_COMPRESSION_LZ4, &pages, &error));
    OK(opendb_keyspace_open(database, "plain", &plain, &error));
    CHECK(opendb_keyspace_compression(pages) == OPENDB_COMPRESSION_LZ4);
    CHECK(opendb_keyspace_compression(plain) == OPENDB_COMPRESSION_NONE);
    OK(opendb_stats_read(database, &before, &error));
    OK(opendb_keyspace_put(pages, B("a"), text, sizeof text, &error));
    OK(opendb_stats_read(database, &after, &error));
    CHECK(after.live_bytes - before.live_bytes < sizeof text / 10);
    OK(opendb_keyspace_get(pages, B("a"), &value, &error));
    CHECK(value.length == sizeof text && memcmp(value.data, text, sizeof text) == 0);
    opendb_bytes_free(&value);
    opendb_keyspace_free(plain);
    REFUSED("compression is 7", opendb_keyspace_open_with(database, "pages", 7, &plain, &error));
    CHECK(plain == NULL);
    OK(opendb_keyspace_open_with(database, "pages", OPENDB_COMPRESSION_NONE, &plain, &error));
    CHECK(opendb_keyspace_compression(pages) == OPENDB_COMPRESSION_NONE);
    opendb_keyspace_free(pages);
    opendb_keyspace_free(plain);
    CHECK(opendb_keyspace_compression(pages) == OPENDB_COMPRESSION_NONE);
}

static void after_closing(opendb_database *database, const char *value) {
    opendb_value_writer *large, *small;
    opendb_value_reader *reader;
    OK(opendb_put(database, B("k"), value, LARGE, &error));
    OK(opendb_value_reader_new(database, B("k"), &reader, &error));
    OK(opendb_value_writer_new(database, B("l"), LARGE, &large, &error));
    OK(opendb_value_writer_new(database, B("s"), 1, &small, &error));
    OK(opendb_value_writer_write(large, value, PIECE, &error));
    OK(opendb_value_writer_write(small, B("s"), &error));
    OK(opendb_close(database, &error));
    FAILS(OPENDB_ERROR_CLOSED, "closed", opendb_value_writer_write(large, value, PIECE, &error));
    FAILS(OPENDB_ERROR_CLOSED, "closed", opendb_value_writer_finish(small, &error));
    opendb_value_writer_free(large);
    check_read(reader, value, LARGE);
}

int main(int count, char **arguments) {
    CHECK(count == 2);
    opendb_database *database = open_below(arguments[1], "streams");
    char *value = pattern();
    pieces(database, value);
    places(database);
    refusals(database);
    compression(database);
    after_closing(database, value);
    free(value);
    CHECK(opendb_handles_live() == 0);
    return 0;
}
