// Batches, transactions, conflicts and transact through opendb.hpp, from many threads.
#include "check.hpp"

#include <cstring>
#include <stdexcept>
#include <thread>

using opendb::Database, opendb::ErrorKind, opendb::Transaction;

static void batches(const Database &database) {
    opendb::Batch batch = database.batch();
    batch.put("default", "a", "1");
    batch.put("default", "b", "2");
    batch.erase("default", "a");
    CHECK(batch.len() > 0);
    CHECK(throws(ErrorKind::KeyspaceNotFound, [&] { batch.put("missing", "c", "3"); }));
    batch.commit();
    CHECK(!database.exists("a") && database.get("b") == "2");
    CHECK(throws(ErrorKind::InvalidArgument, [&] { batch.commit(); }));
    database.batch().put("default", "dropped", "x");
    CHECK(!database.exists("dropped"));
    opendb::Batch synced = database.batch();
    synced.put("default", "synced", "x");
    synced.commit_with(opendb::Durability::Sync);
    CHECK(database.exists("synced"));
}

static void transactions(const Database &database) {
    {
        Transaction dropped = database.begin_transaction();
        dropped.put("default", "dropped", "x");
        CHECK(dropped.get("default", "dropped") == "x" && dropped.get_bytes("default", "dropped")->size() == 1);
        CHECK(dropped.exists("default", "dropped") && !dropped.exists("default", "nobody"));
        dropped.erase("default", "b");
        CHECK(!dropped.get("default", "b"));
        int entries = 0;
        for (auto [key, value] : dropped.scan_prefix("default", "dro")) {
            CHECK(key == "dropped" && value == "x");
            ++entries;
        }
        CHECK(entries == 1);
        CHECK(dropped.iter("default", opendb::Scan::all().reverse()).next()->key == "synced");
    }
    CHECK(!database.exists("dropped") && database.exists("b"));
    Transaction rolled_back = database.begin_transaction();
    rolled_back.put("default", "rolled back", "x");
    rolled_back.rollback();
    CHECK(!database.exists("rolled back"));
    CHECK(throws(ErrorKind::InvalidArgument, [&] { rolled_back.commit(); }));
    Transaction synced = database.begin_transaction();
    synced.put("default", "rolled forward", "x");
    synced.commit_with(opendb::Durability::Sync);
    CHECK(database.exists("rolled forward"));
}

static void conflict(const Database &database) {
    Transaction first = database.begin_transaction(), second = database.begin_transaction();
    first.get("default", "b");
    second.get("default", "b");
    first.put("default", "b", "first");
    second.put("default", "b", "second");
    first.commit();
    try {
        second.commit();
        CHECK(false);
    } catch (const opendb::Error &error) {
        CHECK(error.kind() == ErrorKind::Transaction && error.retryable());
    }
    CHECK(database.get("b") == "first");
}

static void transact(const Database &database) {
    int runs = 0;
    CHECK(throws(ErrorKind::Transaction, [&] {
        database.transact_with(2, opendb::Durability::Sync, [&](Transaction &transaction) {
            runs++;
            transaction.get("default", "contested");
            database.put("contested", std::to_string(runs));
            transaction.put("default", "contested", "never");
        });
    }));
    CHECK(runs == 3 && database.get("contested") == "3");
    CHECK(database.transact_with(0, opendb::Durability::Buffered, [](Transaction &) { return 7; }) == 7);
    database.erase("contested");
    std::string returned = database.transact([](Transaction &transaction) {
        transaction.put("default", "by transact", "x");
        return transaction.get("default", "by transact").value();
    });
    CHECK(returned == "x" && database.exists("by transact"));
    bool thrown = false;
    try {
        database.transact([](Transaction &transaction) {
            transaction.put("default", "thrown", "x");
            throw std::logic_error("the work changed its mind");
        });
    } catch (const std::logic_error &error) {
        thrown = std::strcmp(error.what(), "the work changed its mind") == 0;
    }
    CHECK(thrown && !database.exists("thrown"));
    CHECK(throws(ErrorKind::KeyspaceNotFound, [&] {
        database.transact([](Transaction &transaction) { transaction.put("missing", "k", "v"); });
    }));
    CHECK(throws(ErrorKind::InvalidArgument, [&] {
        database.transact([](Transaction &transaction) { transaction.commit(); });
    }));
}

static void counters(const Database &database) {
    auto add_one = [&] {
        for (int round = 0; round < 25; ++round) {
            for (bool done = false; !done;) {
                try {
                    database.transact([](Transaction &transaction) {
                        int count = std::stoi(transaction.get("default", "count").value_or("0"));
                        transaction.put("default", "count", std::to_string(count + 1));
                    });
                    done = true;
                } catch (const opendb::Error &error) {
                    // After many conflicts in a row it is for the caller to go on.
                    CHECK(error.retryable());
                }
            }
        }
    };
    std::vector<std::thread> threads;
    for (int at = 0; at < 8; ++at) {
        threads.emplace_back(add_one);
    }
    for (std::thread &thread : threads) {
        thread.join();
    }
    CHECK(database.get("count") == "200");
}

int main(int count, char **arguments) {
    CHECK(count == 2);
    {
        Database database = Database::open(std::string(arguments[1]) + "/transaction");
        batches(database);
        transactions(database);
        conflict(database);
        transact(database);
        counters(database);
    }
    CHECK(opendb_handles_live() == 0);
    return 0;
}
