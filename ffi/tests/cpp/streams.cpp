// Values that are read and written piece by piece, and keyspaces whose values are compressed, through opendb.hpp.
#include "check.hpp"

#include <type_traits>

using opendb::Compression, opendb::Database, opendb::Durability, opendb::ErrorKind;

static_assert(std::is_move_constructible_v<opendb::ValueReader> && !std::is_copy_constructible_v<opendb::ValueReader>);
static_assert(std::is_move_constructible_v<opendb::ValueWriter> && !std::is_copy_constructible_v<opendb::ValueWriter>);

int main(int count, char **arguments) {
    CHECK(count == 2);
    Database database = Database::open(std::string(arguments[1]) + "/streams");
    std::string value(2 * 1024 * 1024 + 5, '\0');
    for (std::size_t at = 0; at < value.size(); ++at) {
        value[at] = static_cast<char>(at * 31 + at / 251);
    }
    opendb::ValueWriter writer = database.value_writer("film", value.size());
    std::string_view left = value;
    while (!left.empty()) {
        std::string_view piece = left.substr(0, 300'000);
        writer.write(piece);
        left.remove_prefix(piece.size());
    }
    CHECK(throws(ErrorKind::InvalidArgument, [&] { writer.write("more"); }));
    CHECK(!database.exists("film") && !database.value_reader("film"));
    writer.finish_with(Durability::Sync);
    CHECK(throws(ErrorKind::InvalidArgument, [&] { writer.finish(); }));

    auto reader = database.value_reader("film");
    CHECK(reader && reader->length() == value.size());
    std::string read;
    for (std::string piece = reader->read(100'000); !piece.empty(); piece = reader->read(100'000)) {
        read += piece;
    }
    CHECK(read == value);
    reader->seek(7);
    CHECK(reader->read(5) == value.substr(7, 5));

    opendb::Keyspace pages = database.keyspace("pages", Compression::Lz4);
    CHECK(pages.compression() == Compression::Lz4 && database.keyspace("plain").compression() == Compression::None);
    std::string text(100'000, 'x');
    opendb::ValueWriter page = pages.value_writer("page", text.size());
    page.write(text);
    page.finish();
    CHECK(pages.get("page") == text && pages.value_reader("page")->read(text.size()) == text);
    CHECK(database.stats().live_bytes < text.size() / 10);
    { opendb::ValueWriter given_up = pages.value_writer("given up", value.size()); }
    auto snapshot = database.snapshot();
    database.erase("film");
    CHECK(snapshot.value_reader("film")->read(3) == value.substr(0, 3));

    database.close();
    CHECK(throws(ErrorKind::Closed, [&] { database.value_reader("film"); }));
    CHECK(throws(ErrorKind::Closed, [&] { pages.value_writer("k", 1); }));
    reader->seek(0);
    CHECK(reader->read(value.size()) == value);
}
