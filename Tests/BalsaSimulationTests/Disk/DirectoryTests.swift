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
}
