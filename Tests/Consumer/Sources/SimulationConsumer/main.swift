import BalsaSimulation

/// Why the program ends with an error.
struct Failure: Error {
    let sentence: String
}

/// Runs a simulated cluster twice from one seed, and says whether the two runs are the same.
func runSeed() throws -> Bool {
    let scenario = Scenario(seed: 1, members: 3, duration: .seconds(2))
    let first: RunReport = Simulation(scenario).run()
    var lines = 0
    let second = Simulation(scenario).run { _ in lines += 1 }
    if let violation = first.violation { throw Failure(sentence: "seed 1 violates \(violation)") }
    guard first.events > 0, lines > 0, first.counters.acknowledged > 0 else {
        throw Failure(sentence: "nothing happened in the runs of seed 1")
    }
    return first.traceHash == second.traceHash
}

/// A note that replaces another one, whose writer dies at every call: it is there whole or not at all, and once the writer has
/// said that it is there, it is there.
///
/// - Returns: how many calls there were.
func crashEverywhere() throws -> Int {
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
    guard states > 0 else { throw Failure(sentence: "no crash has left a state") }
    return Int(calls)
}

print("both runs are the same", try runSeed())  // both runs are the same true
print("calls", try crashEverywhere())  // calls 5
print("done")  // done
