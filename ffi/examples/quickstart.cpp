#include <cstdint>
#include <cstring>
#include <iostream>
#include <opendb.hpp>

int main(int argc, char **argv) try {
    auto db = opendb::Database::open(argc > 1 ? argv[1] : "quickstart.db");
    db.put("user:1", "Alice");
    db.put("user:2", "Bob");
    std::cout << "user:1 is " << db.get("user:1").value_or("nobody") << "\n";

    for (auto [key, value] : db.scan_prefix("user:")) {
        std::cout << key << " = " << value << "\n";
    }

    auto visits = db.transact([](opendb::Transaction &txn) {
        std::uint64_t visits = 0;
        if (auto old = txn.get("default", "visits")) std::memcpy(&visits, old->data(), sizeof visits);
        visits += 1;
        txn.put("default", "visits", {reinterpret_cast<const char *>(&visits), sizeof visits});
        return visits;
    });
    std::cout << "visits: " << visits << "\n";
    db.close();
} catch (const opendb::Error &error) {
    std::cerr << error.name() << ": " << error.what() << "\n";
    return 1;
}
