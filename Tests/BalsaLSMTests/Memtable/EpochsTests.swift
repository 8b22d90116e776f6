import BalsaPlatform
import CBalsaPlatform
import XCTest

@testable import BalsaLSM

final class EpochsTests: XCTestCase {
    /// Notes how many of its kind are left.
    private final class Counted: Sendable {
        private let alive: Locked<Int>

        init(_ alive: Locked<Int>) {
            self.alive = alive
            alive.withLock { $0 += 1 }
        }

        deinit { alive.withLock { $0 -= 1 } }
    }

    private let alive = Locked(0)

    private var aliveCount: Int { alive.withLock { $0 } }

    func testWhatIsRetiredWithoutReadersIsReleasedAtTheNextCollection() {
        let epochs = Epochs()
        epochs.retire(Counted(alive))
        XCTAssertEqual(aliveCount, 1)
        XCTAssertEqual(epochs.retiredCount, 1)
        epochs.collect()
        XCTAssertEqual(aliveCount, 0)
        XCTAssertEqual(epochs.retiredCount, 0)
        epochs.collect()
    }

    func testAPinHoldsWhatWasRetiredAfterIt() {
        let epochs = Epochs()
        let pin = epochs.pin()
        epochs.retire(Counted(alive))
        epochs.retire(Counted(alive))
        epochs.collect()
        XCTAssertEqual(aliveCount, 2)
        epochs.unpin(pin)
        XCTAssertEqual(aliveCount, 2, "a reader releases nothing itself")
        epochs.collect()
        XCTAssertEqual(aliveCount, 0)
    }

    func testAPinDoesNotHoldWhatWasRetiredBeforeIt() {
        let epochs = Epochs()
        epochs.retire(Counted(alive))
        let pin = epochs.pin()
        epochs.retire(Counted(alive))
        epochs.collect()
        XCTAssertEqual(aliveCount, 1)
        epochs.unpin(pin)
        epochs.collect()
        XCTAssertEqual(aliveCount, 0)
    }

    func testTheOldestOfManyPinsCounts() {
        let epochs = Epochs()
        let early = epochs.pin()
        epochs.retire(Counted(alive))
        let late = epochs.pin()
        epochs.retire(Counted(alive))
        epochs.unpin(early)
        epochs.collect()
        XCTAssertEqual(aliveCount, 1, "the late pin holds what was retired after it, and nothing else")
        epochs.unpin(late)
        epochs.collect()
        XCTAssertEqual(aliveCount, 0)
    }

    func testMorePinsThanSlotsHoldAllTheSame() {
        let epochs = Epochs()
        // Each pin with an object that was retired after it.
        var pins: [Epochs.Pin] = []
        for _ in 0..<300 {
            pins.append(epochs.pin())
            epochs.retire(Counted(alive))
        }
        epochs.collect()
        XCTAssertEqual(aliveCount, 300)
        // The first pins given back are the newest: nothing may go before the oldest.
        for pin in pins.dropFirst().reversed() {
            epochs.unpin(pin)
            epochs.collect()
            XCTAssertEqual(aliveCount, 300)
        }
        epochs.unpin(pins[0])
        epochs.collect()
        XCTAssertEqual(aliveCount, 0)
    }

    func testThePinsThatFoundNoSlotReleaseInTheirOrder() {
        let epochs = Epochs()
        var pins: [Epochs.Pin] = []
        for _ in 0..<300 {
            pins.append(epochs.pin())
            epochs.retire(Counted(alive))
        }
        for (number, pin) in pins.enumerated() {
            epochs.unpin(pin)
            epochs.collect()
            XCTAssertEqual(aliveCount, 299 - number)
        }
    }

    func testWhatIsReleasedMayRetireMore() {
        final class Chain: Sendable {
            let epochs: Epochs
            let next: Counted

            init(_ epochs: Epochs, _ next: Counted) {
                self.epochs = epochs
                self.next = next
            }

            deinit { epochs.retire(next) }
        }
        let epochs = Epochs()
        epochs.retire(Chain(epochs, Counted(alive)))
        epochs.collect()
        XCTAssertEqual(aliveCount, 1)
        epochs.collect()
        XCTAssertEqual(aliveCount, 0)
    }

    func testAnErrorGivesThePinBack() {
        struct Refused: Error {}
        let epochs = Epochs()
        XCTAssertThrowsError(try epochs.withPin { () throws(Refused) in throw Refused() }) {
            XCTAssertTrue($0 is Refused)
        }
        epochs.retire(Counted(alive))
        epochs.collect()
        XCTAssertEqual(aliveCount, 0)
    }

    // MARK: Threads

    /// A cell that an object marks as dead when it is released. The memory of all cells outlives the readers, so that one
    /// that is too late sees the mark; and it outlives the objects, the last of which go with their epochs.
    private final class Marker: @unchecked Sendable {
        static let living: UInt64 = 0x1234_5678
        let cell: UnsafeMutableRawPointer
        private let cells: Cells

        init(_ number: Int, of cells: Cells) {
            self.cells = cells
            cell = cells.base + 8 * number
            balsa_store_release_64(cell, Marker.living)
        }

        deinit { balsa_store_release_64(cell, 0xdead) }
    }

    /// Raw memory, which whoever writes to it keeps.
    private final class Cells: @unchecked Sendable {
        let base: UnsafeMutableRawPointer

        init(_ count: Int) {
            base = .allocate(byteCount: 8 * count, alignment: 8)
            base.initializeMemory(as: UInt64.self, repeating: 0, count: count)
        }

        deinit { base.deallocate() }
    }

    /// - Returns: how often a reader found something dead, and how many objects had been released before the end.
    private func race(pinning: @escaping @Sendable (Epochs, () -> Void) -> Void) -> (dead: Int, released: Int) {
        let objects = 4_000
        let cells = Cells(objects + 1)
        let dead = Locked(0)
        let released = Locked(0)
        let epochs = Epochs()
        // The first cell is the place where readers find the current object's; 1 tells them to stop.
        let shared = cells.base
        let first = Marker(1, of: cells)
        balsa_store_release_64(shared, UInt64(UInt(bitPattern: first.cell)))
        let current = Locked<Marker?>(first)
        ThreadGroup.run(4) { thread in
            if thread == 0 {
                for number in 2...objects {
                    let marker = Marker(number, of: cells)
                    balsa_store_release_64(cells.base, UInt64(UInt(bitPattern: marker.cell)))
                    let old = current.withLock { current in
                        let old = current
                        current = marker
                        return old
                    }
                    if let old { epochs.retire(old) }
                    epochs.collect()
                    // Readers come and go, so that in the end all is released.
                    while epochs.retiredCount > 50 {
                        sched_yield()
                        epochs.collect()
                    }
                }
                released.withLock { $0 = objects - 1 - epochs.retiredCount }
                balsa_store_release_64(cells.base, 1)
                return
            }
            var isDone = false
            while !isDone {
                pinning(epochs) {
                    let link = balsa_load_acquire_64(cells.base)
                    guard link != 1, let cell = UnsafeRawPointer(bitPattern: UInt(link)) else {
                        isDone = true
                        return
                    }
                    for _ in 0..<20 where balsa_load_acquire_64(cell) != Marker.living {
                        dead.withLock { $0 += 1 }
                    }
                }
            }
        }
        return (dead.withLock { $0 }, released.withLock { $0 })
    }

    func testNothingIsReleasedUnderAPin() {
        let result = race { epochs, body in epochs.withPin(body) }
        XCTAssertEqual(result.dead, 0)
        XCTAssertGreaterThan(result.released, 3_000, "nothing was put to the test")
    }

    func testNothingIsReleasedUnderAPinThatFoundNoSlot() {
        let result = race { epochs, body in
            // The first hundred and more hold the slots for a moment, and the last reads.
            let pins = (0..<130).map { _ in epochs.pin() }
            epochs.withPin(body)
            for pin in pins { epochs.unpin(pin) }
        }
        XCTAssertEqual(result.dead, 0)
        XCTAssertGreaterThan(result.released, 3_000, "nothing was put to the test")
    }
}
