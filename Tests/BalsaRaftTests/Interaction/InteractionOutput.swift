@testable import BalsaRaft

/// What a command makes happen between members, in order, in words that script and core have in common.
///
/// The script's own bookkeeping is left out: what a member sends to itself or to its disk, and its log text.
struct InteractionOutput: Equatable {
    /// `sends`, `hears` or `loses`, and the message.
    private(set) var events: [String] = []
    /// The last state that the output names of each member, as `Lead`, `State`, `Term`, `Vote`, `Commit`.
    private(set) var states: [UInt64: [String: String]] = [:]

    private enum Section { case nothing, sent, heard }

    /// The normative part of what a script prints.
    init(of command: InteractionCommand) {
        let isOneMember = command.members.count == 1
        var member = isOneMember ? command.members[0] : 0
        var section: Section = command.name == "deliver-msgs" ? .heard : .nothing
        var isInResponses = false
        var place = 0
        let lines = command.expected
        while place < lines.count {
            var text = String(lines[place].drop { $0 == " " })
            place += 1
            if isInResponses {
                isInResponses = text != "]"
                continue
            }
            if text.hasPrefix("> ") {
                member = UInt64(text.split(separator: " ")[1]) ?? 0
                section = text.hasSuffix("receiving messages") ? .heard : .nothing
            } else if text == "Messages:" || text == "Responses:" {
                section = .sent
            } else if text == "Processing:" {
                section = .nothing
            } else if text.hasPrefix("Lead:") || text.hasPrefix("HardState ") {
                note(text, of: member)
            } else if text.contains("->") {
                if text.hasSuffix("Responses:[") { isInResponses = true }
                if text.hasSuffix("Entries:[") {
                    while place < lines.count, lines[place].drop(while: { $0 == " " }) != "]" {
                        text += lines[place]
                        place += 1
                    }
                }
                let isLost = text.hasPrefix("dropped: ")
                if isLost { text.removeFirst("dropped: ".count) }
                guard let message = InteractionOutput.message(text) else { continue }
                if isLost { events.append("loses \(message)") }
                if !isLost, section != .nothing { events.append((section == .sent ? "sends " : "hears ") + message) }
            }
        }
    }

    init() {}

    mutating func sends(_ message: String) { events.append("sends \(message)") }
    mutating func hears(_ message: String) { events.append("hears \(message)") }
    mutating func loses(_ message: String) { events.append("loses \(message)") }

    private mutating func note(_ text: String, of member: UInt64) {
        var found = states[member] ?? [:]
        if text.hasPrefix("HardState ") { found["Vote"] = "0" }
        for word in text.split(separator: " ") {
            let parts = word.split(separator: ":")
            if parts.count == 2 { found[String(parts[0])] = String(parts[1]) }
        }
        states[member] = found
    }

    /// The message in a line of a script; nil for one that is not between two members.
    private static func message(_ text: String) -> String? {
        let words = text.split(separator: " ").map(String.init)
        let ends = words[0].split(separator: ">").map { $0.filter { $0 != "-" } }
        guard ends.count == 2, UInt64(ends[0]) != nil, UInt64(ends[1]) != nil, ends[0] != ends[1] else { return nil }
        func value(_ name: String) -> String? {
            words.first { $0.hasPrefix(name + ":") }.map { String($0.dropFirst(name.count + 1)) }
        }
        let head = "\(words[0]) \(words[1])"
        let term = value("Term") ?? "0"
        let log = value("Log") ?? "0/0"
        switch words[1] {
        case "MsgPreVote": return "\(head) \(log)"
        // A leader that hears its quorum refuses, where the script's would not; the election shows who was elected.
        case "MsgPreVoteResp": return head
        case "MsgVote": return "\(head) term \(term) \(log)"
        case "MsgVoteResp": return "\(head) term \(term)" + (text.contains("Rejected") ? " refused" : "")
        case "MsgApp":
            let entries = text.split(separator: "[").dropFirst().first.map { positions(String($0)) } ?? []
            let commit = value("Commit") ?? "0"
            return "\(head) term \(term) behind \(log) commit \(commit) \(entries.joined(separator: " "))"
        case "MsgAppResp":
            let parts = log.split(separator: "/")
            guard let hint = words.firstIndex(of: "(Hint:") else { return "\(head) term \(term) through \(parts[1])" }
            return "\(head) term \(term) not \(parts[1]), hint \(parts[0])/\(words[hint + 1].filter { $0 != ")" })"
        case "MsgHeartbeat": return "\(head) term \(term) commit \(value("Commit") ?? "0")"
        default: return "\(head) term \(term)"
        }
    }

    /// The positions of entries: each is followed by its kind.
    private static func positions(_ text: String) -> [String] {
        let words = text.split(separator: " ").map(String.init)
        return words.indices.dropLast().filter { words[$0 + 1].hasPrefix("Entry") }.map { words[$0] }
    }
}
