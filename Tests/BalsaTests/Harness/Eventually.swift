import XCTest

/// What a test waited for did not come about.
struct NeverCameTrue: Error, CustomStringConvertible {
    let description: String
}

extension XCTestCase {
    /// Waits until `condition` holds.
    ///
    /// The limit is for a hang only: it is so long that a busy machine does not reach it.
    ///
    /// - Throws: ``NeverCameTrue`` when it does not hold within two minutes.
    func eventually(_ what: @autoclosure () -> String, _ condition: () async throws -> Bool) async throws {
        let end = ContinuousClock.now + .seconds(120)
        while try await !condition() {
            guard ContinuousClock.now < end else { throw NeverCameTrue(description: "never: \(what())") }
            try await Task.sleep(for: .milliseconds(2))
        }
    }
}
