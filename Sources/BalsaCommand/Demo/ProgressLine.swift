import BalsaPlatform
import Foundation

/// A bar that is drawn over itself on a terminal, and a line now and then elsewhere.
final class ProgressLine: @unchecked Sendable {
    private static let output = Locked(false)
    private static let isTerminal = isatty(1) == 1

    private let total: Int
    private let title: String
    private let state = Locked((done: 0, shown: -1))

    init(_ title: String, total: Int) {
        self.title = title
        self.total = max(1, total)
    }

    /// Notes that `count` more are done.
    func advance(_ count: Int = 1) {
        let step = ProgressLine.isTerminal ? 200 : 10
        let shown = state.withLock { state -> Int? in
            state.done += count
            let now = state.done * step / total
            guard now > state.shown else { return nil }
            state.shown = now
            return state.done
        }
        if let shown { draw(shown) }
    }

    private func draw(_ done: Int) {
        guard ProgressLine.isTerminal else {
            printLine("\(title): \(done * 100 / total) % (\(done) of \(total))")
            return
        }
        let text = ProgressLine.text(title, done, of: total, columns: ProgressLine.columns)
        ProgressLine.output.withLock { isDrawn in
            print("\r\u{1b}[K\(text)", terminator: done >= total ? "\n" : "")
            fflush(nil)
            isDrawn = done < total
        }
    }

    /// How many columns the terminal has now; 80 where it does not say.
    private static var columns: Int {
        var size = winsize()
        guard ioctl(1, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return 80 }
        return Int(size.ws_col)
    }

    /// The bar, in one line that is shorter than the terminal is wide: a line that wraps cannot be drawn over.
    static func text(_ title: String, _ done: Int, of total: Int, columns: Int) -> String {
        let percent = "\(done * 100 / total) %"
        // Of the longest percentage, so that the bar keeps its length.
        let width = min(40, columns - 1 - title.count - " [] 100 %".count)
        guard width >= 4 else { return String("\(title) \(percent)".suffix(max(0, columns - 1))) }
        let filled = done * width / total
        let bar = String(repeating: "#", count: filled) + String(repeating: ".", count: width - filled)
        return "\(title) [\(bar)] \(percent)"
    }

    /// Prints a line above the bar.
    static func note(_ line: String) {
        output.withLock { isDrawn in
            printLine((isDrawn ? "\r\u{1b}[K" : "") + line)
            isDrawn = false
        }
    }
}
