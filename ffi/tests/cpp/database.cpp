// Values, keyspaces, snapshots, scans, options and errors through opendb.hpp.
#include "check.hpp"

#include <thread>
#include <type_traits>

using namespace std::string_literals;
using namespace std::string_view_literals;
using opendb::Database, opendb::Durability, opendb::ErrorKind, opendb::Iterator, opendb::Options, opendb::Scan;

static_assert(std::is_move_constructible_v<Database> && !std::is_copy_constructible_v<Database>);
static_assert(std::is_move_constructible_v<opendb::Keyspace> && !std::is_copy_constructible_v<opendb::Keyspace>);
static_assert(std::is_move_constructible_v<opendb::Batch> && !std::is_copy_constructible_v<opendb::Batch>);
static_assert(std::is_move_constructible_v<opendb::Transaction> && !std::is_copy_constructible_v<opendb::Transaction>);
static_assert(std::is_move_constructible_v<opendb::Snapshot> && !std::is_copy_constructible_v<opendb::Snapshot>);
static_assert(std::is_move_constructible_v<Iterator> && !std::is_copy_constructible_v<Iterator>);
static_assert(std::is_move_constructible_v<opendb::Bytes> && !std::is_copy_constructible_v<opendb::Bytes>);
static_assert(std::is_move_constructible_v<opendb::Pinned> && !std::is_copy_constructible_v<opendb::Pinned>);

static void values(const Database &database) {
    database.put("user:1", "Alice");
    database.put_with("zero\0inside"sv, "\0\xff"sv, Durability::Sync);
    CHECK(database.get("user:1") == "Alice");
    CHECK(database.get("zero\0inside"sv) == "\0\xff"sv);
    CHECK(!database.get("zero"));
    CHECK(database.get_bytes("user:1")->view() == "Alice");
    CHECK(database.get_bytes("user:1")->string() == "Alice");
    CHECK(!database.get_bytes("user:2"));
    CHECK(!database.get_pinned("user:2"));
    database.put("", "");
    CHECK(database.get("") == "" && database.get_bytes("")->empty() && database.get_pinned("")->empty());
    CHECK(database.exists("") && !database.exists("user:2"));
    CHECK(database.len() == 3);
    database.erase("");
    database.erase("");
    database.erase_with("zero\0inside"sv, Durability::Buffered);
    CHECK(database.len() == 1);
    opendb::Bytes first = *database.get_bytes("user:1");
    opendb::Bytes second = std::move(first);
    CHECK(second.size() == 5 && second.data()[0] == 'A');
    database.flush();
    database.refresh();
    opendb_stats stats = database.stats();
    CHECK(stats.size == sizeof stats && !stats.poisoned && database.recovery_damage().empty());
    CHECK(database.path().find("database") != std::string::npos);
}

static void many(const Database &database) {
    database.put("a", "first");
    auto keyspace = database.keyspace("sessions");
    opendb::Values values = database.get_many({"b", "a"});
    database.erase("a");
    CHECK(values.size() == 2 && !values.empty() && !values[0] && *values[1] == "first");
    CHECK(throws(ErrorKind::InvalidArgument, [&] { values[2]; }));
    std::vector<std::string> keys = {"a", ""};
    CHECK(!database.get_many(keys)[0] && keyspace.get_many(keys).size() == 2);
    CHECK(database.snapshot().get_many(std::vector<std::string>()).empty());
    auto transaction = database.begin_transaction();
    transaction.put("sessions", "", "own");
    CHECK(*transaction.get_many("sessions", keys)[1] == "own" && !transaction.get_many("sessions", {"a"})[0]);
}

static std::vector<std::string> keys(Iterator iterator) {
    std::vector<std::string> out;
    for (const auto &entry : iterator) {
        out.emplace_back(entry.key);
    }
    return out;
}

static void scans(const Database &database) {
    using Keys = std::vector<std::string>;
    for (std::string_view key : {"a", "user:1", "user:2", "user:3", "z"}) {
        database.put(key, key);
    }
    Keys seen;
    for (auto [key, value] : database.scan_prefix("user:")) {
        CHECK(key == value || key == "user:1");
        seen.emplace_back(key);
    }
    CHECK(seen == Keys{"user:1", "user:2", "user:3"});
    CHECK(keys(database.iter()).size() == 5);
    CHECK(keys(database.iter(Scan::prefix("user:").reverse().start_after("user:3").limit(1))) == Keys{"user:2"});
    CHECK(keys(database.iter(Scan::all().from("user:2").until("z"))) == Keys{"user:2", "user:3"});
    CHECK(keys(database.iter(Scan::all().until(""))).empty());
    CHECK(keys(database.scan_prefix("nobody:")).empty());
    Iterator only_keys = database.iter(Scan::prefix("user:").keys_only());
    auto entry = only_keys.next();
    CHECK(entry && entry->key == "user:1" && entry->value.empty());
    Iterator moved = std::move(only_keys);
    CHECK(moved.next()->key == "user:2" && moved.next() && !moved.next() && !moved.next());
    CHECK(throws(ErrorKind::InvalidArgument, [&] { only_keys.next(); }));
}

static void keyspaces_and_snapshots(const Database &database) {
    opendb::Keyspace sessions = database.keyspace("sessions");
    CHECK(sessions.name() == "sessions");
    sessions.put("k", "old");
    sessions.put_with("l", "old", Durability::Buffered);
    CHECK(!database.exists("k") && sessions.len() == 2);
    CHECK(database.keyspaces() == std::vector<std::string>{"default", "sessions"});
    opendb::Snapshot snapshot = database.snapshot();
    opendb::Snapshot same_moment = snapshot.keyspace("sessions");
    sessions.put("k", "new");
    sessions.erase("l");
    database.put("user:1", "changed");
    CHECK(sessions.get("k") == "new" && same_moment.get("k") == "old");
    CHECK(sessions.compare_and_swap("lock", std::nullopt, "mine") && !sessions.compare_and_swap("lock", std::nullopt, ""));
    CHECK(sessions.compare_and_swap_with("lock", "mine", std::nullopt, Durability::Sync) && !sessions.exists("lock"));
    sessions.put("job", "mow");
    CHECK(sessions.take("job") == "mow" && !sessions.take_with("job", Durability::Sync));
    CHECK(sessions.increment("count") == 1 && sessions.increment_with("count", -3, Durability::Buffered) == -2);
    CHECK(throws(ErrorKind::InvalidArgument, [&] { sessions.increment("k"); }));
    sessions.erase("count");
    CHECK(same_moment.exists("l") && !sessions.exists("l"));
    CHECK(same_moment.get_bytes("k")->view() == "old" && same_moment.get_pinned("k")->view() == "old");
    CHECK(keys(same_moment.scan_prefix("")).size() == 2 && keys(sessions.iter()).size() == 1);
    CHECK(keys(same_moment.iter(Scan::all().limit(1))).size() == 1);
    CHECK(snapshot.get("user:1") == "user:1" && database.get("user:1") == "changed");
    CHECK(throws(ErrorKind::KeyspaceNotFound, [&] { snapshot.keyspace("missing"); }));
    CHECK(throws(ErrorKind::InvalidArgument, [&] { database.keyspace("default\0cut"sv); }));
    CHECK(throws(ErrorKind::InvalidArgument, [&] { database.keyspace(""); }));
}

static void errors(Database &database) {
    try {
        database.put(std::string(OPENDB_KEY_BYTES_MAX + 1, 'k'), "v");
        CHECK(false);
    } catch (const std::exception &caught) {
        const auto &error = dynamic_cast<const opendb::Error &>(caught);
        CHECK(error.kind() == ErrorKind::InvalidArgument && error.name() == "INVALID_ARGUMENT"sv);
        CHECK(!error.retryable() && std::string_view(error.what()).find("65536") != std::string_view::npos);
    }
    CHECK(throws(ErrorKind::InvalidArgument, [&] { database.put_with("k", "v", static_cast<Durability>(9)); }));
    database.put("pinned", "value");
    opendb::Pinned pinned = *database.get_pinned("pinned");
    opendb::Keyspace keyspace = database.keyspace("sessions");
    database.close();
    CHECK(pinned.view() == "value" && pinned.string() == "value" && pinned.size() == 5 && pinned.data()[0] == 'v');
    CHECK(throws(ErrorKind::Closed, [&] { keyspace.get("k"); }));
    CHECK(database.path().empty());
    database.close();
}

// After close() every call says that the database is closed, and closing again does nothing.
static void closed(const std::string &directory) {
    Database database = Database::open(directory + "/closed");
    database.put("k", "v");
    opendb::Keyspace keyspace = database.keyspace("sessions");
    opendb::Snapshot snapshot = database.snapshot();
    opendb::Batch batch = database.batch();
    opendb::Transaction transaction = database.begin_transaction();
    Iterator iterator = database.iter();
    database.close();
    database.close();
    auto closed = [](auto work) { return throws(ErrorKind::Closed, work); };
    CHECK(closed([&] { database.put("k", "v"); }) && closed([&] { database.get("k"); }));
    CHECK(closed([&] { database.put_with("k", "v", Durability::Sync); }) && closed([&] { database.get_bytes("k"); }));
    CHECK(closed([&] { database.erase("k"); }) && closed([&] { database.erase_with("k", Durability::Sync); }));
    CHECK(closed([&] { database.exists("k"); }) && closed([&] { database.get_pinned("k"); }));
    CHECK(closed([&] { database.iter(); }) && closed([&] { database.scan_prefix("k"); }));
    CHECK(closed([&] { database.len(); }) && closed([&] { database.flush(); }) && closed([&] { database.stats(); }));
    CHECK(closed([&] { database.keyspace("k"); }) && closed([&] { database.keyspaces(); }));
    CHECK(closed([&] { database.batch(); }) && closed([&] { database.snapshot(); }));
    CHECK(closed([&] { database.begin_transaction(); }) && closed([&] { database.recovery_damage(); }));
    CHECK(closed([&] { database.transact([](opendb::Transaction &) { CHECK(false); }); }));
    CHECK(closed([&] { keyspace.put("k", "v"); }) && closed([&] { snapshot.get("k"); }));
    CHECK(closed([&] { batch.commit(); }) && closed([&] { transaction.get("default", "k"); }));
    CHECK(closed([&] { iterator.next(); }) && closed([&] { iterator.next(); }));
    Database moved = std::move(database);
    CHECK(closed([&] { moved.get("k"); }));
    CHECK(throws(ErrorKind::InvalidArgument, [&] { database.get("k"); }));
    database = Database::open(directory + "/closed");
    CHECK(database.get("k") == "v");
}

// One of many threads closes: the others get their answers until then, and Closed from then on.
static void closed_by_one_thread(const std::string &directory) {
    Database database = Database::open(directory + "/threads");
    database.put("k", "v");
    auto work = [&] {
        try {
            for (;;) {
                CHECK(database.get("k") == "v");
            }
        } catch (const opendb::Error &error) {
            CHECK(error.kind() == ErrorKind::Closed);
        }
    };
    std::vector<std::thread> threads;
    for (int at = 0; at < 3; ++at) {
        threads.emplace_back(work);
    }
    threads.emplace_back([&] { database.close(); });
    threads.emplace_back([&] { database.close(); });
    for (std::thread &thread : threads) {
        thread.join();
    }
}

static void paths(const std::string &directory) {
    CHECK(throws(ErrorKind::InvalidArgument, [&] { Database::open(""); }));
    CHECK(throws(ErrorKind::InvalidArgument, [&] { Database::open(directory + "/a\0b"s); }));
    Database::open(directory + "/not UTF-8 \xff\xfe").put("k", "v");
    Database again = Database::open(directory + "/not UTF-8 \xff\xfe", Options().create(false));
    CHECK(again.get("k") == "v" && again.path().find("\xff\xfe") != std::string::npos);
}

int main(int count, char **arguments) {
    CHECK(count == 2);
    std::string directory = arguments[1];
    {
        Database opened = Database::open(directory + "/database");
        Database database = std::move(opened);
        values(database);
        scans(database);
        keyspaces_and_snapshots(database);
        many(database);
        errors(database);
        closed(directory);
        closed_by_one_thread(directory);
        paths(directory);
        Options options;
        options.create(true).durability(Durability::Sync).append_mode(opendb::AppendMode::Write);
        options.mapped_reads(false).cache_bytes(0).segment_bytes(OPENDB_SEGMENT_BYTES_MIN);
        options.read_damaged(false).read_only(false).lock_timeout(std::chrono::milliseconds(-1));
        Database::open(directory + "/options", options).put("k", "v");
        CHECK(throws(ErrorKind::InvalidArgument, [&] { options.append_mode(static_cast<opendb::AppendMode>(7)); }));
        options.segment_bytes(1);
        CHECK(throws(ErrorKind::InvalidArgument, [&] { Database::open(directory + "/refused", options); }));
        Database again = Database::open(directory + "/database", Options().create(false));
        CHECK(again.get("pinned") == "value");
    }
    CHECK(opendb_handles_live() == 0);
    return 0;
}
