// Compaction, verification and backups through opendb.hpp.
#include "check.hpp"

#include <stdexcept>

using opendb::Database, opendb::ErrorKind, opendb::Options;

static constexpr int KEYS = 500;

static std::string key(int number) { return "key " + std::to_string(number); }

// A database most of which was overwritten, with nothing sealed yet that could be compacted unasked.
static Database worn(const std::string &path) {
    Database database = Database::open(path, Options().segment_bytes(16 << 20));
    for (char turn = 'a'; turn < 'e'; ++turn) {
        for (int number = 0; number < KEYS; ++number) {
            database.put(key(number), std::string(1000, turn));
        }
    }
    return database;
}

static void check(const Database &database) {
    opendb::Verification found = database.verify();
    CHECK(found.violations.empty() && found.counts_compared && found.keys == KEYS);
    CHECK(found.segments > 0 && found.records >= KEYS);
    CHECK(database.get(key(7)) == std::string(1000, 'd') && database.len() == KEYS);
}

static void compaction(const std::string &path) {
    Database database = worn(path);
    opendb_stats before = database.stats();
    // What the progress throws ends the compaction and comes out.
    int calls = 0;
    bool is_thrown = false;
    try {
        database.compact([&](std::uint64_t, std::uint64_t) -> bool {
            ++calls;
            throw std::out_of_range("of the caller");
        });
    } catch (const std::out_of_range &error) {
        is_thrown = error.what() == std::string("of the caller");
    }
    CHECK(is_thrown && calls == 1);
    CHECK(database.compact([](std::uint64_t, std::uint64_t) { return false; }).segments_removed == 0);
    std::uint64_t last = 0, total = 1;
    auto note = [&](std::uint64_t bytes_done, std::uint64_t bytes_total) {
        last = bytes_done;
        total = bytes_total;
        database.put(key(7), std::string(1000, 'd'));
    };
    opendb_compaction done = database.compact(note);
    CHECK(done.size == sizeof done && last == total);
    opendb_stats after = database.stats();
    CHECK(after.dead_bytes < before.dead_bytes / 4 && after.write_amplification > before.write_amplification);
    check(database);
    database.compact();
    database.close();
    CHECK(throws(ErrorKind::Closed, [&] { database.compact(); }));
    CHECK(throws(ErrorKind::Closed, [&] { database.compact(note); }));
    CHECK(throws(ErrorKind::Closed, [&] { database.verify(); }));
    CHECK(throws(ErrorKind::Closed, [&] { database.backup(path + " again"); }));
}

static void backup(const std::string &path) {
    Database database = worn(path);
    opendb_backup_result made = database.backup(path + " copy");
    CHECK(made.sequence == database.stats().last_sequence && made.segments_linked + made.segments_copied > 0);
    CHECK(throws(ErrorKind::InvalidArgument, [&] { database.backup(path + " copy"); }));
    CHECK(throws(ErrorKind::InvalidArgument, [&] { database.backup(std::string("a\0b", 3)); }));
    check(Database::open(path + " copy"));
    database.close();
    opendb::Salvage saved = Database::salvage(path, path + " salvaged");
    CHECK(saved.keys == KEYS && saved.keyspaces == 1 && saved.lost.empty());
    check(Database::open(path + " salvaged"));
}

int main(int count, char **arguments) {
    CHECK(count == 2);
    compaction(std::string(arguments[1]) + "/compaction");
    backup(std::string(arguments[1]) + "/backup");
    CHECK(opendb_handles_live() == 0);
    return 0;
}
