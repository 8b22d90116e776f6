import Balsa
import Foundation
import XCTest

/// `README.md` against the code: what it shows of the store stands below, line by line, with the one import that it has, and
/// does what it says. `Tests/Consumer/run` builds it as a package of its own.
final class ReadmeTests: XCTestCase {
    private static let source = URL(fileURLWithPath: #filePath)
    private var directory = ""

    override func setUpWithError() throws {
        let parent = FileManager.default.temporaryDirectory.appendingPathComponent("balsa-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: parent, withIntermediateDirectories: true)
        directory = parent.path + "/store"
    }

    override func tearDownWithError() throws {
        try FileManager.default.removeItem(atPath: String(directory.dropLast("/store".count)))
    }

    func testAStoreOfOneMember() async throws {
        var printed: [String] = []
        func print(_ items: Any...) { printed.append(items.map { "\($0)" }.joined(separator: " ")) }

        let store = try await ReplicatedStore.open(at: directory)  // one member, no ports
        let first = try await store.put("user/ada", "Ada")  // durable when it returns
        try await store.append(" Lovelace", to: "user/ada")
        let entry = try await store.get("user/ada")  // linearizable
        print(entry.map { String($0.value) } ?? "nobody")  // Ada Lovelace
        let changed = try await store.compareAndSet("user/ada", if: .revision(first), then: .put("Countess"))
        print(changed == nil)  // true: the append changed the revision
        let page = try await store.scan(from: "user/", to: "user0", limit: 100)
        print(page.pairs.count, store.state)  // 1 leader
        await store.close()

        XCTAssertEqual(printed, ["Ada Lovelace", "true", "1 leader"])
    }

    /// Compiled and not run: nobody can listen on another machine's address.
    private func openOneOfThree() async throws -> ReplicatedStore {
        let store = try await ReplicatedStore.open(
            at: directory,
            member: 1,
            peers: [1: "10.0.0.1:7001", 2: "10.0.0.2:7001", 3: "10.0.0.3:7001"],
            security: .insecureNetwork
        )
        return store
    }

    // MARK: The page itself

    /// The lines of a text without their indentation and their comments, which the formatter sets in its own way.
    private func lines(_ text: String) -> [String] {
        text.components(separatedBy: "\n").map {
            $0.components(separatedBy: "  //")[0].trimmingCharacters(in: .whitespaces)
        }
    }

    func testThePageShowsWhatIsRunHere() throws {
        var package = ReadmeTests.source
        for _ in 0..<4 { package.deleteLastPathComponent() }
        let page = try String(contentsOf: package.appendingPathComponent("README.md"), encoding: .utf8)
        let blocks = page.components(separatedBy: "```swift\n").dropFirst().map {
            $0.components(separatedBy: "\n```")[0]
        }
        let ours = blocks.filter { $0.contains("ReplicatedStore") }
        XCTAssertEqual(ours.count, 2)
        XCTAssertTrue(ours.first?.hasPrefix("import Balsa\n\n") ?? false)
        XCTAssertEqual(ours.first.map { lines($0).dropFirst(2).count }, 10, "ten lines are enough")
        let source = lines(try String(contentsOf: ReadmeTests.source, encoding: .utf8))
        for block in ours {
            let wanted = lines(block.replacingOccurrences(of: "import Balsa\n\n", with: ""))
            XCTAssertTrue(source.indices.contains { source[$0...].starts(with: wanted) }, "not run here:\n\(block)")
        }
    }
}
