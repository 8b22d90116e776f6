import BalsaRaft

extension PlantedBugs {
    /// The catalogue with its records, as the table of `Docs/PlantedBugs.md`.
    public static var table: String {
        let rows = catalogue.map { error in
            let records = error.invariants.map { invariant in error.records.first { $0.invariant == invariant } }
            let found = error.invariants.map { "`\($0.rawValue)`" }.joined(separator: ", ")
            let hits = records.map { $0.map { String($0.leastHits) } ?? "?" }.joined(separator: ", ")
            let seeds = records.map { $0.map { String($0.seed) } ?? "?" }.joined(separator: ", ")
            let cells = [
                "`\(error.name)`", error.location, error.effect, found + (error.reason.map { ": \($0)" } ?? ""), hits,
                seeds,
                "\(error.setting.members), \(error.setting.duration.nanoseconds / 1_000_000_000) s"
                    + (error.setting.change == .none ? "" : ", \(error.setting.change.rawValue)"),
            ]
            return "| " + cells.joined(separator: " | ") + " |\n"
        }
        return
            "| name | lies in | what it breaks | found as | least hits in 100 | recorded seed | members, duration |\n"
            + "|---|---|---|---|---:|---:|---|\n" + rows.joined()
    }
}
