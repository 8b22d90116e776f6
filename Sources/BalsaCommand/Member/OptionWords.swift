import Balsa
import BalsaKeyValue

/// Replicated options as words of a line: `NAME=NUMBER`, under the names that ``ReplicatedOptions`` has.
enum OptionWords {
    /// All options.
    static func text(of options: ReplicatedOptions) -> String {
        ReplicatedOptions.fields.map { "\($0.name)=\(options[name: $0.name])" }.joined(separator: " ")
    }

    /// Changes the options that the words name.
    static func change(_ options: inout ReplicatedOptions, by words: some Sequence<String>) throws(StoreError) {
        var named: [String] = []
        for word in words {
            let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2, let field = ReplicatedOptions.fields.first(where: { $0.name == parts[0] }) else {
                let names = ReplicatedOptions.fields.map(\.name).joined(separator: ", ")
                let sentence = "'\(word)' is no option: NAME=NUMBER, where NAME is one of \(names)"
                throw StoreError(.notApplied, .invalid, sentence)
            }
            guard !named.contains(field.name) else {
                throw StoreError(.notApplied, .invalid, "\(field.name) is named twice")
            }
            named.append(field.name)
            guard let value = UInt64(parts[1]) else {
                throw StoreError(.notApplied, .invalid, "\(field.name) is a number from 0, not '\(parts[1])'")
            }
            options[name: field.name] = value
        }
    }
}
