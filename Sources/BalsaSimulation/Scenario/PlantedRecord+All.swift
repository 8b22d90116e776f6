extension PlantedRecord {
    /// What was recorded last, by `Tests/record-planted-errors.sh`; not edited by hand.
    public static let all: [PlantedRecord] = [
        PlantedRecord("vote-not-persisted", .recovery, leastHits: 60, seed: 23),
        PlantedRecord("vote-not-persisted", .monotoneTerm, leastHits: 4, seed: 33),
        PlantedRecord("ack-before-own-sync", .memberState, leastHits: 28, seed: 36),
        PlantedRecord("commit-old-term-by-counting", .leaderCompleteness, leastHits: 5, seed: 11),
        PlantedRecord("truncate-without-conflict", .acknowledgedPresent, leastHits: 4, seed: 66),
        PlantedRecord("truncate-without-conflict", .leaderCompleteness, leastHits: 4, seed: 66),
        PlantedRecord("acknowledge-beyond-sent", .memberState, leastHits: 7, seed: 74),
        PlantedRecord("read-before-first-commit", .certificate, leastHits: 10, seed: 7),
        PlantedRecord("read-before-first-commit", .linearizability, leastHits: 4, seed: 66),
        PlantedRecord("withhold-without-check-quorum", .liveness, leastHits: 22, seed: 93),
        PlantedRecord("stale-suffix-after-recycling", .recovery, leastHits: 9, seed: 53),
        PlantedRecord("deduplication-off", .exactlyOnce, leastHits: 56, seed: 36),
        PlantedRecord("sessions-lost-in-checkpoint", .equalReplies, leastHits: 45, seed: 44),
        PlantedRecord("local-read-as-linearizable", .certificate, leastHits: 58, seed: 89),
        PlantedRecord("local-read-as-linearizable", .linearizability, leastHits: 58, seed: 89),
        PlantedRecord("apply-beyond-persisted", .memberState, leastHits: 60, seed: 62),
        PlantedRecord("replay-from-wrong-index", .equalStates, leastHits: 57, seed: 2),
        PlantedRecord("tombstone-dropped-early", .equalStates, leastHits: 12, seed: 57),
        PlantedRecord("compaction-beyond-mark", .equalStates, leastHits: 15, seed: 36),
        PlantedRecord("manifest-before-table-sync", .recovery, leastHits: 42, seed: 66),
        PlantedRecord("directory-sync-left-out", .recovery, leastHits: 28, seed: 66),
        PlantedRecord("wiped-member-accepted", .identity, leastHits: 9, seed: 73),
        PlantedRecord("first-boot-votes-early", .identity, leastHits: 4, seed: 88),
    ]
}
