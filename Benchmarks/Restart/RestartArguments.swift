/// What `balsa-bench restart` was asked.
struct RestartArguments: Equatable {
    static let help = """
        usage: balsa-bench restart [options]

        Measures how long a store is away. A child of this program opens a store of one member and writes every key once, by
        1000 clients; then it is ended, first as a crash would and then in order, and the store is opened here: from the call
        that opens it until a linearizable read has been answered, which needs everything that was acknowledged. The files are
        in the system's memory by then, as they are after the crash of a process and are not after that of a machine.

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
            case "--value": valueBytes = try reader.number(of: option, in: 0...1 << 20)
            default: directory = try reader.value(of: option)
            }
        }
    }
}
