/// Runs a scenario and holds the core against what is normative in it.
struct InteractionCheck {
    /// Whether messages are compared, and not only states and logs.
    let comparesMessages: Bool
    /// Which commands are compared only when the scenario has ended and everything was delivered, by name and number.
    let late: [String: Int]
    /// What differs, each with its line.
    private(set) var faults: [String] = []
    /// How many outputs of commands were compared.
    private(set) var messageOutputs = 0
    private(set) var stateOutputs = 0

    init(comparesMessages: Bool = true, late: [String: Int] = [:]) {
        self.comparesMessages = comparesMessages
        self.late = late
    }

    mutating func run(_ script: InteractionScript) throws {
        var run = InteractionRun()
        var counts: [String: Int] = [:]
        var left: [InteractionCommand] = []
        for command in script.commands {
            counts[command.name, default: 0] += 1
            try run.perform(command)
            if let number = late[command.name], number == counts[command.name] {
                left.append(command)
            } else {
                try compare(run, command)
            }
        }
        guard !left.isEmpty else { return }
        try run.stabilizeAll()
        for command in left { try compare(run, command) }
    }

    private mutating func compare(_ run: InteractionRun, _ command: InteractionCommand) throws {
        switch command.name {
        case "raft-log":
            let isEmpty = command.expected.first?.hasPrefix("log is empty") == true
            compare(try run.log(of: command.members.first ?? 0), isEmpty ? [] : command.expected, command)
        case "raft-state":
            compare(run.roles(), command.expected.map { $0.replacing(" (Voter)", with: "") }, command)
        case "status":
            compare(try run.progress(of: command.members.first ?? 0), command.expected.map(progress), command)
        case "process-ready", "process-append-thread", "deliver-msgs", "stabilize":
            guard !command.isQuiet else { return }
            let expected = InteractionOutput(of: command)
            for (member, state) in expected.states.sorted(by: { $0.key < $1.key }) {
                let found = run.state(of: member, after: command) ?? [:]
                let lines = { (values: [String: String]) in state.keys.sorted().map { "\($0) \(values[$0] ?? "")" } }
                compare(lines(found), lines(state), command, " of member \(member)")
            }
            guard comparesMessages else { return }
            messageOutputs += 1
            if run.output.events != expected.events {
                note(command, "", run.output.events, expected.events)
            }
        default: break
        }
    }

    /// A line of a script's status without what the core does not know.
    private func progress(_ line: String) -> String {
        var words = line.split(separator: " ").map(String.init).filter { $0 != "inactive" }
        words.removeAll { $0.hasPrefix("pendingSnap=") }
        if words.contains("StateSnapshot") { words.removeAll { $0.hasPrefix("next=") } }
        return words.joined(separator: " ")
    }

    private mutating func compare(
        _ found: [String],
        _ expected: [String],
        _ command: InteractionCommand,
        _ what: String = ""
    ) {
        stateOutputs += 1
        if found != expected { note(command, what, found, expected) }
    }

    private mutating func note(_ command: InteractionCommand, _ what: String, _ found: [String], _ expected: [String]) {
        let lines = { (lines: [String]) in lines.map { "\n    \($0)" }.joined() }
        let name = ([command.name] + command.words).joined(separator: " ")
        faults.append("line \(command.line), \(name)\(what): found\(lines(found))\n  instead of\(lines(expected))")
    }
}
