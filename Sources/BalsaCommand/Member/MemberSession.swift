import Balsa
import BalsaKeyValue
import BalsaPlatform
import Glibc

/// Serves the requests of a member's input until it ends.
struct MemberSession {
    let store: ReplicatedStore
    let input: MemberInput
    let output: MemberOutput

    /// Serves requests until the input ends or one of them is `close`, and returns when all are answered.
    ///
    /// - Parameter limit: how long those that are under way may take after the end. The store is closed then, which
    ///   answers them. It is not closed before, since that would refuse a request that was read and has not begun.
    func serve(drainingFor limit: Duration) async {
        let closing = await withDiscardingTaskGroup(returning: Task<Void, Never>.self) { group in
            await takeRequests(into: &group)
            return Task {
                do { try await Task.sleep(for: limit) } catch { return }
                await store.close(drainingFor: .zero)
            }
        }
        closing.cancel()
        await closing.value
    }

    /// Takes requests until there are no more. Each is answered by a task of the group.
    private func takeRequests(into group: inout DiscardingTaskGroup) async {
        for await line in input.lines {
            guard let line else {
                let sentence = "the line is longer than \(input.bounds.bytesOfLine) bytes"
                reply(Array("? error not-applied \(sentence)".utf8), to: line)
                continue
            }
            let words = line.split(separator: UInt8(ascii: " "))
            guard words.count >= 2 else {
                if words.isEmpty {
                    input.answered(line)
                } else {
                    reply(Array("? error not-applied a line is ID VERB …".utf8), to: line)
                }
                continue
            }
            if words.count == 2, words[1].elementsEqual("close".utf8) {
                reply(Array(words[0]) + Array(" ok".utf8), to: line)
                return
            }
            let request = words.map { Array($0) }
            group.addTask { reply(await answer(request), to: line) }
        }
    }

    /// A line counts until its reply was taken: who asks and does not read is asked for patience.
    private func reply(_ reply: [UInt8], to line: [UInt8]?) {
        output.reply(reply) { [input] in input.answered(line) }
    }

    private func answer(_ words: [[UInt8]]) async -> [UInt8] {
        var reply = words[0] + [UInt8(ascii: " ")]
        let verb = String(decoding: words[1], as: UTF8.self)
        do throws(StoreError) {
            if verb == "change-options", words.count > 3 {
                // Names and numbers, which are not encoded.
                let revision = try await changeOptions(words.dropFirst(2).map { String(decoding: $0, as: UTF8.self) })
                reply += Array("ok \(revision)".utf8)
            } else {
                try await answer(verb, words.dropFirst(2).map { $0 }, &reply)
            }
        } catch {
            let outcome = error.outcome == .unknown ? "unknown" : "not-applied"
            let leader = error.leader == 0 ? "" : " (member \(error.leader) leads)"
            reply += Array(
                "error \(outcome) \(error.reason)\(error.message.isEmpty ? "" : ": " + error.message)\(leader)".utf8
            )
        }
        return reply
    }

    private func answer(_ verb: String, _ arguments: [[UInt8]], _ reply: inout [UInt8]) async throws(StoreError) {
        switch (verb, arguments.count) {
        case ("put", 2):
            let revision = try await store.put(try bytes(arguments[0]), try bytes(arguments[1]))
            reply += Array("ok \(revision)".utf8)
        case ("delete", 1):
            reply += Array("ok \(try await store.delete(try bytes(arguments[0])))".utf8)
        case ("add", 2):
            let word = String(try bytes(arguments[1]))
            guard let amount = Int64(word) else {
                let bounds = "from \(Int64.min) to \(Int64.max)"
                throw StoreError(.notApplied, .invalid, "add takes a number \(bounds), not '\(word)'")
            }
            reply += Array("ok \(try await store.add(amount, to: try bytes(arguments[0])))".utf8)
        case ("get", 1):
            append(try await store.get(try bytes(arguments[0])), to: &reply)
        case ("local", 1):
            append(try await store.get(try bytes(arguments[0]), consistency: .local), to: &reply)
        case ("count", 0):
            reply += Array("ok \(try await keyCount())".utf8)
        case ("status", 0):
            reply += Array(await status().utf8)
        case ("options", 0):
            let entry = try await store.options()
            reply += Array("options \(entry.revision) \(OptionWords.text(of: entry.options))".utf8)
        default:
            throw StoreError(.notApplied, .invalid, MemberSession.advice(verb))
        }
    }

    /// The requests: what follows the verb in a line.
    static let requests: [(verb: String, words: String)] = [
        ("put", "KEY VALUE"), ("get", "KEY"), ("local", "KEY"), ("delete", "KEY"), ("add", "KEY NUMBER"), ("count", ""),
        ("status", ""), ("options", ""), ("change-options", "REVISION NAME=NUMBER…"), ("close", ""),
    ]

    /// How a line with a verb is written; for a verb that is none, which there are.
    private static func advice(_ verb: String) -> String {
        guard let request = requests.first(where: { $0.verb == verb }) else {
            let verbs = requests.map(\.verb).joined(separator: ", ")
            return "there is no request '\(verb)': a line is ID VERB …, and the verbs are \(verbs)"
        }
        return "a line with \(verb) is ID \(verb)\(request.words.isEmpty ? "" : " " + request.words)"
    }

    private func bytes(_ word: [UInt8]) throws(StoreError) -> Bytes {
        guard let bytes = PercentEncoding.decode(word[...]) else {
            // Its beginning: a value has up to megabytes.
            let text = String(decoding: word.prefix(40), as: UTF8.self) + (word.count > 40 ? "…" : "")
            throw StoreError(.notApplied, .invalid, "the word '\(text)' is not percent-encoded")
        }
        return bytes
    }

    /// Changes the options that the words name, and leaves the others as they are in force. The revision that the first
    /// word expects is compared when the change is applied, so that nobody else's change is lost.
    private func changeOptions(_ words: [String]) async throws(StoreError) -> UInt64 {
        guard let revision = UInt64(words[0]) else {
            throw StoreError(.notApplied, .invalid, "change-options takes the revision of the options in force first")
        }
        var options = try await store.options().options
        try OptionWords.change(&options, by: words.dropFirst())
        return try await store.changeOptions(options, expecting: revision)
    }

    private func append(_ entry: KeyValueEntry?, to reply: inout [UInt8]) {
        guard let entry else {
            reply += Array("none".utf8)
            return
        }
        reply += Array("value \(entry.revision) ".utf8)
        entry.value.withUnsafeBytes { PercentEncoding.append($0, to: &reply) }
    }

    /// Counts the keys that this member has, in time linear in their number.
    private func keyCount() async throws(StoreError) -> Int {
        var page = try await store.scan(consistency: .local)
        var count = page.pairs.count
        while let next = page.continuation {
            page = try await store.scan(from: next, at: page.revision, consistency: .local)
            count += page.pairs.count
        }
        return count
    }

    private func status() async -> String {
        let status = await store.status()
        let (role, leader): (String, UInt64) =
            switch status.state {
            case .recovering: ("recovering", 0)
            case .leader: ("leader", status.member)
            case .follower(let leader): ("follower", leader)
            case .noQuorum: ("no-quorum", 0)
            case .failed: ("failed", 0)
            case .closed: ("closed", 0)
            }
        return "status member=\(status.member) role=\(role) leader=\(leader) term=\(status.term) "
            + "commit=\(status.commitIndex) applied=\(status.appliedIndex) durable=\(status.durableIndex) "
            + "flushed=\(status.flushedIndex) digest=\(String(status.digest, radix: 16)) "
            + "diverged=\(status.isDiverged ? "yes" : "no") pid=\(getpid())"
    }
}
