import BalsaPlatform
import BalsaRaft

/// The lines that say what each member of a demo is: its process, its role and how often it was started. Each line is
/// printed once, and again only when something in it has changed.
final class MemberLines: Sendable {
    private let shown = Locked<[MemberID: String]>([:])
    private let print: @Sendable (String) -> Void

    /// - Parameter print: takes a line.
    init(_ print: @escaping @Sendable (String) -> Void = ProgressLine.note) { self.print = print }

    /// Prints what a member is, unless that was printed last.
    func show(_ member: MemberID, pid: Int32, state: String, starts: Int) {
        let times = starts > 1 ? ", started \(starts) times" : ""
        let line = "member \(member): pid \(pid), \(state)\(times)"
        let isNew = shown.withLock { $0.updateValue(line, forKey: member) != line }
        if isNew { print(line) }
    }
}
