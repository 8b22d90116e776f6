/// What `balsa-bench restart` was asked.
struct RestartArguments: Equatable {
    static let help = """
        usage: balsa-bench restart [options]

        Measures how long a store is away, twice, each time with a new store of one member: once its process is killed, and
        once it closes the store. A child of this program writes every key once, by 1000 clients; 'written' is the time from
        the first write to the last answer. Then the child ends, and this process opens the store: the time runs from the call
        that opens it until a linearizable read has been answered, which needs everything that was acknowledged. The files are
        in the system's memory by then, as they are after the crash of a process and are not after that of a machine. Not
        measured: afterwards all keys and values are compared with what was written.

          --keys N       how many keys (default 1000000)
          --value BYTES  how long a value is (default 100)
          --dir DIR      below which folder the files go; a folder of the run's own is made there and removed at the end
                         (default: TMPDIR or /tmp)
          --help         this text
        """

    var keyCount = 1_000_000
    var valueBytes = 100
    var directory: String?
    var wantsHelp = false

    init() {}

    init(_ arguments: [String]) throws(OptionReader.Failure) {
        var reader = OptionReader("restart", arguments)
        while let option = try reader.next(of: ["--keys", "--value", "--dir"]) {
            switch option {
            case "--help":
                wantsHelp = true
                return
            case "--keys": keyCount = try reader.number(of: option, in: 1...100_000_000)
            case "--value": valueBytes = try reader.number(of: option, in: 0...PeerValues.maxValueBytes)
            default: directory = try reader.value(of: option)
            }
        }
    }
}
