/// The options that a command line has given so far: each may be given once.
struct GivenOptions {
    /// Their names, in their order.
    private(set) var names: [String] = []

    /// Notes an option.
    ///
    /// - Returns: why it is refused, in a sentence; nil where it is given the first time.
    mutating func refusal(of name: String) -> String? {
        guard !names.contains(name) else { return "\(name) is given twice" }
        names.append(name)
        return nil
    }

    /// Whether an option was given.
    func contains(_ name: String) -> Bool { names.contains(name) }
}
