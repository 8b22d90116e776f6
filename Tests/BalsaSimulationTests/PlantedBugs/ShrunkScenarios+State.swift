/// Those of the errors that lie in the replica, in the key-value machine and in the engine.
extension ShrunkScenarios {
    /// Finds `deduplication-off`.
    static let deduplicationOff = """
        balsa-scenario 1
        seed=1
        duration=3378302018
        core=10
        clients=6
        thinking=60000000
        value-bytes=128
        network-delay=1222000
        network-jitter=100000
        write-time=143000
        sync-time=100000
        clock-drift=50
        sector-bytes=4096
        smallest-segment=32768
        largest-segment=65536
        log-bound=524288
        log-cache=65536
        seal-state-after=262144
        entries-kept=1
        max-append=100
        inflight-messages=2
        inflight-bytes=65536
        apply-page=65536
        work-budget=16384
        memtable-bytes=8192
        block-bytes=1024
        table-bytes=8192
        level-zero-tables=4
        level-base=16384
        level-ratio=4
        filter-bits=0
        cache-bytes=0
        retained-revisions=0
        fault 2141814822 kill-in-call member=1 lasts=1000000000 rate=46 salt=159171130960056
        """

    /// Finds `sessions-lost-in-checkpoint`.
    static let sessionsLostInCheckpoint = """
        balsa-scenario 1
        seed=1
        duration=4425228362
        core=10
        clients=1
        thinking=60000000
        value-bytes=128
        network-delay=1222000
        network-jitter=100000
        write-time=143000
        sync-time=100000
        clock-drift=50
        sector-bytes=4096
        smallest-segment=32768
        largest-segment=65536
        log-bound=524288
        log-cache=65536
        seal-state-after=262144
        entries-kept=1
        max-append=100
        inflight-messages=2
        inflight-bytes=65536
        apply-page=65536
        work-budget=16384
        memtable-bytes=8192
        block-bytes=1024
        table-bytes=8192
        level-zero-tables=4
        level-base=16384
        level-ratio=4
        filter-bits=0
        cache-bytes=0
        retained-revisions=0
        fault 3246153391 power-loss-in-call member=1 lasts=1000000000 rate=54 salt=260409544899227
        """

    /// Finds `local-read-as-linearizable`.
    static let localReadAsLinearizable = """
        balsa-scenario 1
        seed=1
        duration=8000000000
        core=10
        clients=2
        thinking=60000000
        value-bytes=128
        network-delay=1222000
        network-jitter=100000
        write-time=143000
        sync-time=100000
        clock-drift=50
        sector-bytes=4096
        smallest-segment=32768
        largest-segment=65536
        log-bound=524288
        log-cache=65536
        seal-state-after=262144
        entries-kept=1
        max-append=100
        inflight-messages=2
        inflight-bytes=65536
        apply-page=65536
        work-budget=16384
        memtable-bytes=8192
        block-bytes=1024
        table-bytes=8192
        level-zero-tables=4
        level-base=16384
        level-ratio=4
        filter-bits=0
        cache-bytes=0
        retained-revisions=0
        """

    /// Finds `apply-beyond-persisted`.
    static let applyBeyondPersisted = """
        balsa-scenario 1
        seed=1
        duration=4425061642
        core=10
        clients=1
        thinking=60000000
        value-bytes=128
        network-delay=1222000
        network-jitter=100000
        write-time=143000
        sync-time=100000
        clock-drift=50
        sector-bytes=4096
        smallest-segment=32768
        largest-segment=65536
        log-bound=524288
        log-cache=65536
        seal-state-after=262144
        entries-kept=1
        max-append=100
        inflight-messages=2
        inflight-bytes=65536
        apply-page=65536
        work-budget=16384
        memtable-bytes=8192
        block-bytes=1024
        table-bytes=8192
        level-zero-tables=4
        level-base=16384
        level-ratio=4
        filter-bits=0
        cache-bytes=0
        retained-revisions=0
        fault 3246153391 power-loss-in-call member=1 lasts=1000000000 rate=54 salt=260409544899227
        """

    /// Finds `replay-from-wrong-index`.
    static let replayFromWrongIndex = """
        balsa-scenario 1
        seed=1
        duration=3226679880
        core=10
        clients=2
        thinking=60000000
        value-bytes=128
        network-delay=1222000
        network-jitter=100000
        write-time=143000
        sync-time=100000
        clock-drift=50
        sector-bytes=4096
        smallest-segment=32768
        largest-segment=65536
        log-bound=524288
        log-cache=65536
        seal-state-after=262144
        entries-kept=1
        max-append=100
        inflight-messages=2
        inflight-bytes=65536
        apply-page=65536
        work-budget=16384
        memtable-bytes=8192
        block-bytes=1024
        table-bytes=8192
        level-zero-tables=4
        level-base=16384
        level-ratio=4
        filter-bits=0
        cache-bytes=0
        retained-revisions=0
        fault 2141814822 kill-in-call member=1 lasts=1000000000 rate=46 salt=159171130960056
        """

    /// Finds `tombstone-dropped-early`.
    static let tombstoneDroppedEarly = """
        balsa-scenario 1
        seed=6
        duration=3876964900
        core=14
        keys=6
        thinking=30000000
        value-bytes=600
        network-delay=1851000
        network-jitter=5000000
        write-time=415000
        sync-time=1000000
        smallest-segment=8192
        largest-segment=8192
        max-frame=4096
        writes-in-flight=3
        log-bound=245760
        log-cache=2048
        seal-state-after=49152
        entries-kept=1
        max-append=100
        inflight-messages=1
        inflight-bytes=200
        work-budget=16384
        memtable-bytes=2048
        block-bytes=128
        table-bytes=512
        level-zero-tables=1
        level-base=1024
        filter-bits=4
        cache-bytes=65536
        manifest-bytes=65536
        max-sessions=3
        retained-revisions=50
        """

    /// Finds `compaction-beyond-mark`.
    static let compactionBeyondMark = """
        balsa-scenario 1
        seed=46
        duration=8000000000
        core=12
        clients=6
        keys=3
        thinking=10000000
        value-bytes=600
        network-delay=1013000
        network-jitter=1000000
        write-time=56000
        sync-time=20000000
        clock-drift=10
        smallest-segment=16384
        max-frame=4096
        writes-in-flight=3
        log-cache=65536
        seal-state-after=131072
        entries-kept=10
        max-append=100
        inflight-bytes=65536
        apply-page=64
        chunk-bytes=512
        work-budget=2048
        memtable-bytes=8192
        block-bytes=1024
        table-bytes=512
        level-base=16384
        level-ratio=2
        filter-bits=4
        cache-bytes=65536
        manifest-bytes=512
        retained-revisions=50
        fault 2830735613 power-loss-of-leader member=1 lasts=20000000 salt=256250534951164
        fault 2894030927 stalled-sync member=3 lasts=8000000000 salt=240870330803413
        fault 5865000000 pause member=1 lasts=60000000000 salt=148191279926044
        """

    /// Finds `manifest-before-table-sync`.
    static let manifestBeforeTableSync = """
        balsa-scenario 1
        seed=4
        duration=7781431560
        core=6
        clients=1
        keys=2
        value-bytes=128
        network-delay=1778000
        network-jitter=5000000
        write-time=392000
        sync-time=5000000
        garbage=1
        clock-drift=10
        sector-bytes=1024
        smallest-segment=32768
        max-frame=4096
        writes-in-flight=4
        log-bound=1572864
        log-cache=2048
        seal-state-after=262144
        entries-kept=0
        max-append=4096
        inflight-messages=2
        inflight-bytes=200
        apply-page=64
        chunk-bytes=512
        work-budget=16384
        memtable-bytes=512
        block-bytes=128
        table-bytes=512
        level-zero-tables=3
        level-base=16384
        level-ratio=4
        filter-bits=4
        cache-bytes=1024
        manifest-bytes=512
        retained-revisions=5
        fault 7380431560 power-loss member=2 lasts=400000000 salt=78432308906431
        """

    /// Finds `directory-sync-left-out`.
    static let directorySyncLeftOut = """
        balsa-scenario 1
        seed=5
        duration=3349538777
        core=6
        clients=3
        thinking=10000000
        value-bytes=32
        network-delay=1414000
        network-jitter=1000000
        write-time=7000
        sync-time=1000000
        largest-segment=16384
        max-frame=4096
        writes-in-flight=4
        log-bound=98304
        log-cache=65536
        seal-state-after=24576
        entries-kept=0
        max-append=4096
        inflight-messages=2
        inflight-bytes=200
        chunk-bytes=8192
        work-budget=16384
        memtable-bytes=512
        block-bytes=128
        table-bytes=512
        filter-bits=4
        cache-bytes=1024
        max-sessions=3
        retained-revisions=50
        fault 3347538777 power-loss member=1 lasts=1000000 salt=153237933040665
        """
}
