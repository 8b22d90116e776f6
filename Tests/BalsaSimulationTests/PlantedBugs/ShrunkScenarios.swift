/// The scenarios in which the planted errors are found, shrunk to the faults that it takes. Properties that have their
/// defaults are left out.
///
/// Made by `balsa simulate --seeds 1..4000 --duration 8s --break NAME --shrink FILE`, to be made anew where a change of the members' timing lets one of them pass.
enum ShrunkScenarios {
    /// Finds `vote-not-persisted`.
    static let voteNotPersisted = """
        balsa-scenario 1
        seed=1
        duration=3224889414
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
        fault 2141814822 kill-in-call member=1 lasts=1000000000 rate=46 salt=159171130960056
        """

    /// Finds `ack-before-own-sync`.
    static let ackBeforeOwnSync = """
        balsa-scenario 1
        seed=6
        duration=2064957024
        core=14
        clients=1
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
        fault 2042004004 stalled-sync member=3 lasts=500000000 salt=113010242473772
        """

    /// Finds `commit-old-term-by-counting`.
    static let commitOldTermByCounting = """
        balsa-scenario 1
        seed=902
        duration=6525783750
        core=10
        clients=8
        keys=5
        thinking=30000000
        value-bytes=8
        network-delay=509000
        network-jitter=20000000
        write-time=295000
        sync-time=100000
        garbage=1
        clock-drift=10
        sector-bytes=1024
        smallest-segment=8192
        writes-in-flight=1
        log-bound=327680
        log-cache=2048
        entries-kept=10
        max-append=100
        inflight-messages=1
        inflight-bytes=200
        apply-page=65536
        chunk-bytes=8192
        work-budget=256
        memtable-bytes=8192
        block-bytes=128
        table-bytes=8192
        level-zero-tables=1
        level-base=1024
        level-ratio=2
        cache-bytes=1024
        manifest-bytes=512
        max-sessions=8
        session-idle=5000000000
        retained-revisions=50
        fault 2046000 kill-in-call member=1 lasts=100000000 rate=12 salt=17489843134980
        fault 1000000000 coups lasts=8000000000 rate=700 salt=70023841182765
        fault 1271171378 failed-sync member=2 lasts=8000000000 salt=248049492784439
        fault 3266341846 failed-write member=3 lasts=3000000000 salt=50947411884851
        """

    /// Finds `truncate-without-conflict`.
    static let truncateWithoutConflict = """
        balsa-scenario 1
        seed=8
        duration=8000000000
        core=6
        keys=8
        thinking=10000000
        value-bytes=32
        network-delay=1332000
        network-jitter=20000000
        write-time=97000
        sync-time=1000000
        garbage=1
        clock-drift=50
        sector-bytes=1024
        smallest-segment=32768
        largest-segment=131072
        max-frame=4096
        writes-in-flight=1
        log-bound=786432
        log-cache=0
        seal-state-after=262144
        entries-kept=0
        max-append=700
        inflight-messages=64
        inflight-bytes=2000
        apply-page=64
        work-budget=2048
        memtable-bytes=2048
        level-zero-tables=3
        level-base=16384
        level-ratio=2
        filter-bits=0
        cache-bytes=1024
        manifest-bytes=65536
        retained-revisions=50
        fault 1250873986 failed-read member=1 lasts=50000000 salt=263357157609836
        """

    /// Finds `acknowledge-beyond-sent`.
    static let acknowledgeBeyondSent = """
        balsa-scenario 1
        seed=33
        duration=8000000000
        core=12
        clients=2
        keys=2
        thinking=60000000
        value-bytes=128
        network-delay=1054000
        network-jitter=100000
        write-time=106000
        sync-time=1000000
        clock-drift=50
        sector-bytes=4096
        smallest-segment=32768
        largest-segment=131072
        max-frame=16384
        writes-in-flight=4
        log-bound=1474560
        log-cache=0
        seal-state-after=294912
        entries-kept=1
        max-append=4096
        inflight-bytes=200
        work-budget=256
        memtable-bytes=2048
        block-bytes=1024
        table-bytes=8192
        level-zero-tables=1
        level-ratio=4
        filter-bits=4
        cache-bytes=65536
        manifest-bytes=512
        max-sessions=8
        retained-revisions=0
        fault 1907568070 coups lasts=8000000000 rate=600 salt=33561731778762
        fault 2192588779 power-loss member=1 lasts=1000000 salt=177121042729150
        fault 4586668281 power-loss-of-leader member=2 lasts=5000000000 salt=145457868965852
        """

    /// Finds `read-before-first-commit`.
    static let readBeforeFirstCommit = """
        balsa-scenario 1
        seed=4
        duration=8000000000
        core=6
        clients=6
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
        fault 51885000 failed-write member=1 lasts=300000000 salt=15212607326446
        fault 1282043075 no-space member=3 lasts=50000000 salt=69419595816729
        fault 4200062367 reordering lasts=1000000000 rate=100 salt=202473777380013
        fault 6509664936 duplication lasts=200000000 rate=100 salt=16760504878722
        fault 6839500511 kill member=1 lasts=100000000 salt=51595027185140
        fault 6967000000 deaf member=3 lasts=60000000000 salt=37182537911310
        fault 7257495015 no-space member=1 lasts=3000000000 salt=211193332163030
        fault 7380431560 power-loss member=2 lasts=400000000 salt=78432308906431
        """

    /// Finds `withhold-without-check-quorum`.
    static let withholdWithoutCheckQuorum = """
        balsa-scenario 1
        seed=60
        duration=8000000000
        core=12
        clients=7
        keys=7
        thinking=30000000
        value-bytes=600
        network-delay=840000
        network-jitter=5000000
        write-time=384000
        sync-time=5000000
        smallest-segment=16384
        largest-segment=16384
        max-frame=4096
        writes-in-flight=4
        log-bound=131072
        log-cache=65536
        entries-kept=10
        max-append=100
        inflight-messages=1
        inflight-bytes=65536
        apply-page=64
        chunk-bytes=512
        work-budget=2048
        memtable-bytes=8192
        block-bytes=1024
        level-zero-tables=3
        level-base=1024
        filter-bits=4
        cache-bytes=1024
        retained-revisions=50
        fault 1552760259 duplication lasts=1000000000 rate=100 salt=218459465378038
        fault 2334304817 failed-sync member=2 lasts=500000000 salt=233378582905955
        fault 7573000000 deaf member=1 lasts=60000000000 salt=21279447314530
        """

    /// Finds `stale-suffix-after-recycling`.
    static let staleSuffixAfterRecycling = """
        balsa-scenario 1
        seed=129
        duration=1165511410
        core=10
        clients=7
        keys=5
        thinking=10000000
        value-bytes=600
        network-delay=1976000
        network-jitter=1000000
        write-time=288000
        sync-time=20000000
        clock-drift=10
        sector-bytes=4096
        smallest-segment=65536
        largest-segment=65536
        writes-in-flight=3
        log-bound=2162688
        log-cache=65536
        seal-state-after=720896
        entries-kept=1
        max-append=700
        inflight-messages=2
        inflight-bytes=200
        apply-page=500
        work-budget=256
        memtable-bytes=2048
        block-bytes=128
        table-bytes=8192
        level-base=16384
        level-ratio=2
        filter-bits=0
        cache-bytes=0
        manifest-bytes=512
        retained-revisions=5
        fault 859575105 failed-write member=2 lasts=500000000 salt=116012463181195
        """
}
