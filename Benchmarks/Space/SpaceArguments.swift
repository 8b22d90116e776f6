/// What `balsa-bench space` was asked.
struct SpaceArguments: Equatable {
    static let help = """
        usage: balsa-bench space [options]

        Measures what a member of a store writes, keeps and looks through, against a bound for each. A run that exceeds
        a bound says by how much and ends with status 1. Time in 'trickle' and 'delete' is that of a clock that the
        program moves, so hours take seconds; files are real.

          --state MIB      how much a member holds before the trickle (default 1024)
          --seconds N      how long the trickle lasts, with one put a second (default 7200)
          --deleted MB     how much is deleted by range (default 200)
          --versions N     how many versions of a key a descending scan passes; half as many in the other run (default
                           100000)
          --consumed N     how many keys are taken from a queue (default 1000000)
          --small MB       how much a store of small values holds (default 20000)
          --only A,B       these rows only
          --smoke          a little of everything, in seconds; figures are shown and not held against their
                           bounds
          --dir DIR        below which folder the files go; a folder of the run's own is made there and removed at the
                           end (default: TMPDIR or /tmp)
          --help           this text

        rows, in their order:
          \(rows.joined(separator: " "))
        """

    /// The rows, in the order in which they run.
    static let rows = ["trickle", "delete", "descending", "queue", "small"]

    var stateMebibytes = 1_024
    var seconds = 7_200
    var deletedMegabytes = 200
    var versions = 100_000
    var consumed = 1_000_000
    var smallMegabytes = 20_000
    var only: [String] = []
    /// Whether figures are held against their bounds, about which a short run says nothing.
    var holdsBounds = true
    var directory: String?
    var wantsHelp = false

    init() {}

    init(_ arguments: [String]) throws(OptionReader.Failure) {
        var reader = OptionReader("space", arguments)
        let options = [
            "--state", "--seconds", "--deleted", "--versions", "--consumed", "--small", "--only", "--smoke", "--dir",
        ]
        while let option = try reader.next(of: options) {
            switch option {
            case "--help":
                wantsHelp = true
                return
            case "--state": stateMebibytes = try reader.number(of: option, in: 1...100_000)
            case "--seconds": seconds = try reader.number(of: option, in: 1...1_000_000)
            case "--deleted": deletedMegabytes = try reader.number(of: option, in: 1...100_000)
            case "--versions": versions = try reader.number(of: option, in: 2...500_000)
            case "--consumed": consumed = try reader.number(of: option, in: 1...100_000_000)
            case "--small": smallMegabytes = try reader.number(of: option, in: 1...1_000_000)
            case "--only": try choose(try reader.value(of: option))
            case "--smoke": self = .smoke(only: only, directory: directory)
            default: directory = try reader.value(of: option)
            }
        }
    }

    private mutating func choose(_ list: String) throws(OptionReader.Failure) {
        only = list.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
        guard let unknown = only.first(where: { !SpaceArguments.rows.contains($0) }) else { return }
        throw OptionReader.Failure(line: "there is no row '\(unknown)'; 'balsa-bench space --help' lists them")
    }

    /// So little of everything that it takes seconds.
    static func smoke(only: [String] = [], directory: String? = nil) -> SpaceArguments {
        var arguments = SpaceArguments()
        arguments.stateMebibytes = 1
        arguments.seconds = 70
        arguments.deletedMegabytes = 2
        arguments.versions = 400
        arguments.consumed = 1_000
        arguments.smallMegabytes = 1
        arguments.holdsBounds = false
        arguments.only = only
        arguments.directory = directory
        return arguments
    }

    /// The rows that run.
    var chosenRows: [String] { SpaceArguments.rows.filter { only.isEmpty || only.contains($0) } }
}
