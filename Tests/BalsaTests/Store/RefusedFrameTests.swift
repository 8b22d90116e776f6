import BalsaPlatform
import BalsaRaft
import XCTest

@testable import Balsa

/// Frames of peers that a store cannot take.
final class RefusedFrameTests: StoreTestCase {
    func testFrames_thatNameAnotherSenderOrCannotBeDecoded_areToldToTheObserver() async throws {
        let observer = NotingObserver()
        var options = StoreOptions()
        options.observer = observer
        let store = try await openCluster(1, options)[0]
        try await store.put("k", "v")
        let shell = store.core.shell
        shell.loop.post {
            shell.mislabelled(by: 2, as: 9)
            shell.received("hello", from: 2)
        }
        // The loop takes its jobs in their order.
        try await store.put("k", "w")
        let texts = observer.events.compactMap { if case .frameRefused(let text) = $0 { text } else { nil } }
        XCTAssertEqual(
            texts,
            [
                "a frame of member 2 names member 9 as its sender",
                "\(BalsaPlatform.DecodingError(.magic, "frame magic", at: 0))",
            ]
        )
        let found = try await store.get("k")
        XCTAssertEqual(found?.value, "w", "the store goes on")
        await store.close()
    }
}
