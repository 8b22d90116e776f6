import BalsaPlatform
import BalsaSimulation
import XCTest

/// What every file system can do with directories, by the calls that it comes to.
final class DirectoryTests: XCTestCase {
    private let disk = SimulatedDisk()
    private let hook = ScriptedHook()
    private lazy var files = disk.mount(hook)

    func testTheParentOfAPathIsTheDirectoryThatItsNameIsIn() throws {
        try files.createDirectory("a")
        try files.createDirectory("a/b")
        var synced: [String] = []
        hook.script = { call in
            if call.operation == .syncDirectory { synced.append(call.path) }
            return .proceed
        }
        for path in ["a/b", "a/b/", "a"] { try files.syncParent(of: path) }
        XCTAssertEqual(synced, ["a", "a", "."], "a slash at the end does not make a directory its own parent")
    }

    func testADirectoryIsRemovedWithTheFilesInItAndOneThatIsNotThereIsNoError() throws {
        try files.createDirectory("a")
        for name in ["x", "y"] { try files.open("a/\(name)", .create).close() }
        try files.removeDirectory("a")
        XCTAssertFalse(try files.exists("a"))
        XCTAssertNoThrow(try files.removeDirectory("a"))
    }

    /// Names of every length around those that a disk compares as a few numbers, many with the same beginning.
    func testNames_ofAnyLength_areFoundAndListedByTheirBytes() throws {
        let files = SimulatedDisk().mount()
        var random = RandomSource(seed: 11)
        var names: Set<String> = []
        for length in [1, 2, 7, 8, 9, 15, 16, 17, 23, 24, 25, 31, 32, 33, 34, 40, 120] {
            let beginning = String(repeating: "n", count: length - 1)
            for last in ["a", "b", "z", "~", "-"] { names.insert(beginning + last) }
            names.insert(String((0..<length).map { _ in random.pick(Array("ab.-é")) }.prefix(length / 2 + 1)) + "x")
        }
        for name in names.sorted().reversed() { try files.open(name, .create).close() }
        let expected = names.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
        XCTAssertEqual(try files.list("/"), expected)
        for name in expected {
            XCTAssertTrue(try files.exists(name), name)
            XCTAssertFalse(try files.exists(name + "0"), name)
        }
        for name in expected where name.utf8.count % 2 == 0 { try files.remove(name) }
        XCTAssertEqual(try files.list("/"), expected.filter { $0.utf8.count % 2 == 1 })
    }
}
