import Foundation

/// A folder of this run's own.
struct TemporaryFolder {
    let path: String

    init() throws {
        let name = "balsa-races-\(UUID().uuidString)"
        path = FileManager.default.temporaryDirectory.appendingPathComponent(name).path
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    /// Removes it with everything in it. What cannot be removed is left to the system.
    func remove() { try? FileManager.default.removeItem(atPath: path) }
}
