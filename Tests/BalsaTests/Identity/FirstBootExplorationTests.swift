import BalsaPlatform
import BalsaRaft
import BalsaWire
import XCTest

@testable import Balsa

/// Every order of messages, writes and crashes, as far as it goes: there is never a second cluster, and always a way on.
final class FirstBootExplorationTests: XCTestCase {
    /// What may be spent on crashes, losses and repetitions.
    private struct Budget: Hashable {
        var crashes: Int
        var wipes: Int
        var repetitions: Int
        var timers = 0
    }

    private struct Place: Hashable {
        var room: FirstBootRoom
        var budget: Budget
    }

    /// Every place to which one thing more leads.
    private func next(_ place: Place) -> [Place] {
        var places: [Place] = []
        func add(_ budget: Budget? = nil, _ change: (inout FirstBootRoom) -> Void) {
            var room = place.room
            change(&room)
            places.append(Place(room: room, budget: budget ?? place.budget))
        }
        for letter in place.room.letters.indices {
            add { $0.deliver(letter) }
            if place.budget.repetitions > 0 {
                var budget = place.budget
                budget.repetitions -= 1
                add(budget) { $0.deliver(letter, again: true) }
            }
        }
        for station in place.room.stations {
            let member = station.disk.member
            if place.budget.timers > 0 {
                var budget = place.budget
                budget.timers -= 1
                add(budget) { $0.step(member, .timer) }
            }
            if station.writing != nil { add { $0.write(member) } }
            if place.budget.crashes > 0, station.process != nil || station.disk.established != nil {
                var budget = place.budget
                budget.crashes -= 1
                add(budget) { $0.start(member) }
                if station.writing != nil {
                    add(budget) {
                        $0.write(member, tells: false)
                        $0.start(member)
                    }
                }
            }
            if place.budget.wipes > 0 {
                var budget = place.budget
                budget.wipes -= 1
                add(budget) {
                    $0.wipe(member)
                    $0.start(member)
                }
            }
        }
        return places
    }

    /// Goes through all places, and returns how many there are.
    private func explore(_ start: FirstBootRoom, _ budget: Budget, limit: Int, _ check: (FirstBootRoom) -> Void) -> Int
    {
        var seen: Set<Place> = [Place(room: start, budget: budget)]
        var open = Array(seen)
        while let place = open.popLast() {
            check(place.room)
            for reached in next(place) where seen.count < limit && seen.insert(reached).inserted {
                open.append(reached)
            }
        }
        return seen.count
    }

    private func started(_ count: UInt64) -> FirstBootRoom {
        var room = FirstBootRoom(count)
        for member in 1...count { room.start(member) }
        return room
    }

    private func checkOneCluster(_ room: FirstBootRoom, line: UInt = #line) {
        XCTAssertLessThanOrEqual(room.clusters.count, 1, line: line)
        for station in room.stations {
            guard let cluster = station.disk.established else { continue }
            XCTAssertEqual(cluster.table[station.disk.member]?.incarnation, station.disk.incarnation, line: line)
        }
    }

    func testEveryOrderOfTwoMembersMessagesWritesAndCrashesEndsInOneCluster() {
        var ends = 0
        let places = explore(started(2), Budget(crashes: 1, wipes: 0, repetitions: 1, timers: 1), limit: 60_000) {
            room in
            checkOneCluster(room)
            guard ends % 7 == 0 || room.letters.isEmpty else {
                ends += 1
                return
            }
            ends += 1
            var rest = room
            rest.settle(rounds: 4)
            XCTAssertEqual(rest.established, [1, 2], "there is a way on from everywhere")
            XCTAssertEqual(rest.clusters.count, 1)
        }
        XCTAssertGreaterThan(places, 300)
        XCTAssertLessThan(places, 60_000, "all places were seen")
    }

    func testEveryOrderOfTwoMembersOfWhichOneIsEmptiedMakesNoSecondClusterBesideTheFirst() {
        let places = explore(started(2), Budget(crashes: 0, wipes: 1, repetitions: 0, timers: 1), limit: 60_000) {
            room in
            // Two members: of the first cluster a quorum is both. Where one was emptied, there may be a second cluster only if
            // nobody is left who is established in the first.
            let living = room.stations.compactMap(\.disk.established?.id)
            XCTAssertLessThanOrEqual(Set(living).count, 1)
        }
        XCTAssertGreaterThan(places, 200)
        XCTAssertLessThan(places, 60_000, "all places were seen")
    }

    func testEveryOrderOfThreeMembersMessagesEndsInOneCluster() {
        let places = explore(started(3), Budget(crashes: 0, wipes: 0, repetitions: 0), limit: 200_000) { room in
            checkOneCluster(room)
        }
        XCTAssertGreaterThan(places, 300)
        XCTAssertLessThan(places, 200_000, "all places were seen")
    }

    func testThreeMembersUnderAnythingAtRandomAreNeverTwoClusters() {
        var random = RandomSource(seed: 3)
        var established = 0
        for _ in 0..<300 {
            var room = started(3)
            for _ in 0..<80 {
                let member = MemberID(random.draw(1...3))
                switch random.draw(0...11) {
                case 0: room.start(member)
                case 1: room.write(member, tells: random.chance(1, in: 2))
                case 2: room.step(member, .timer)
                case 3: if !room.letters.isEmpty { room.letters.removeFirst() }
                case 4, 5: room.write(member)
                default:
                    guard !room.letters.isEmpty else { break }
                    let place = random.draw(0...room.letters.count - 1)
                    room.deliver(place, again: random.chance(1, in: 3))
                }
                checkOneCluster(room)
            }
            for member in 1...MemberID(3) { room.start(member) }
            room.settle()
            XCTAssertEqual(room.established, [1, 2, 3])
            XCTAssertEqual(room.clusters.count, 1)
            established += room.established.count
        }
        XCTAssertEqual(established, 900)
    }
}
