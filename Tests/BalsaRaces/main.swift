import Glibc

/// What runs concurrently in this package, run concurrently: for a build with the thread sanitizer, which sees what no test can.
///
/// ```
/// swift run -c release --sanitize=thread BalsaRaces            exits 0, and the sanitizer has said nothing
/// swift run -c release --sanitize=thread BalsaRaces --planted  a race on purpose: the sanitizer must say so, exit 66
/// swift run -c release BalsaRaces --planted-value               a value that the stores' check must find wrong, exit 1
/// ```
///
/// Every part also checks what it reads, so that a run without the sanitizer is a test of its own.
func report(_ text: String) {
    print(text)
    fflush(nil)
}

do {
    switch CommandLine.arguments.dropFirst() {
    case []:
        try checkEngine()
        try await checkStores(isPlanted: false)
        report("nothing wrong was read")
    case ["--planted"]:
        try plantRace()
        report("raced on purpose")
    case ["--planted-value"]:
        try await checkStores(isPlanted: true)
        report("the wrong value was not found")
    default:
        report("usage: BalsaRaces [--planted | --planted-value]")
        exit(2)
    }
} catch {
    report("failed: \(error)")
    exit(1)
}
