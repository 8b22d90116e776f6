import BalsaSimulation

/// Why the program ends with an error.
struct Failure: Error {
    let sentence: String
}

/// A simulated cluster, twice, from one seed.
func runSeed() throws {
    let scenario = Scenario(seed: 1, members: 3, duration: .seconds(2))
    let first: RunReport = Simulation(scenario).run()
    var lines = 0
    let second = Simulation(scenario).run { _ in lines += 1 }
    if let violation = first.violation { throw Failure(sentence: "seed 1 violates \(violation)") }
    guard first.traceHash == second.traceHash, first.events > 0, lines > 0, first.counters.acknowledged > 0 else {
        throw Failure(sentence: "two runs of one seed differ, or nothing happened in them")
    }
    print("seed 1 acknowledged \(first.counters.acknowledged) hash \(first.traceHash)")
}

/// A note that replaces another one, whose writer dies at every call: it is there whole or not at all, and once the writer has
/// said that it is there, it is there.
func crashEverywhere() throws {
    var states = 0
    let calls = try SimulatedDisk().forEachCrashPoint { files in
        let file = try files.open("/note.new", .create)
        try file.write(gathering: [Bytes([1, 2, 3])], at: 0)
        try file.sync()
        try files.rename("/note.new", to: "/note")
        try files.syncDirectory("/")
    } check: { crashed, point in
        for image in crashed.crashStates() {
            states += 1
            let bytes = SimulatedDisk(image).contents(of: "/note")
            guard bytes == nil || bytes == [1, 2, 3] else {
                throw Failure(sentence: "after \(point) the note is \(bytes ?? [])")
            }
        }
    }
    guard calls == 5, states > 0 else { throw Failure(sentence: "\(calls) calls and \(states) states") }
    print("calls \(calls)")
}

try runSeed()
try crashEverywhere()
print("done")
