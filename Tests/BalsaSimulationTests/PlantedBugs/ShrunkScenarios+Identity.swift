/// Those of identity and first boot.
extension ShrunkScenarios {
    /// Finds `wiped-member-accepted`.
    static let wipedMemberAccepted = """
        balsa-scenario 1
        seed=2
        duration=5851281536
        core=12
        clients=1
        keys=5
        value-bytes=600
        network-delay=2410000
        network-jitter=100000
        write-time=170000
        sync-time=1000000
        clock-drift=10
        smallest-segment=8192
        max-frame=4096
        writes-in-flight=4
        log-bound=122880
        log-cache=2048
        seal-state-after=40960
        entries-kept=10
        max-append=100
        inflight-messages=64
        inflight-bytes=65536
        apply-page=500
        chunk-bytes=8192
        work-budget=256
        memtable-bytes=512
        block-bytes=128
        level-zero-tables=3
        level-base=1024
        filter-bits=4
        cache-bytes=0
        manifest-bytes=512
        max-sessions=8
        session-idle=5000000000
        retained-revisions=500
        fault 5742957094 wipe member=1 lasts=100000000 salt=277299788734636
        """

    /// Finds `first-boot-votes-early`.
    static let firstBootVotesEarly = """
        balsa-scenario 1
        seed=194
        duration=386134911
        core=10
        clients=1
        keys=5
        thinking=10000000
        value-bytes=600
        network-delay=1146000
        network-jitter=1000000
        write-time=499000
        sync-time=20000000
        clock-drift=10
        sector-bytes=1024
        smallest-segment=8192
        largest-segment=16384
        writes-in-flight=3
        log-bound=327680
        log-cache=2048
        entries-kept=0
        max-append=100
        inflight-bytes=65536
        apply-page=65536
        chunk-bytes=8192
        work-budget=2048
        memtable-bytes=8192
        table-bytes=8192
        level-zero-tables=4
        level-base=16384
        filter-bits=0
        cache-bytes=65536
        retained-revisions=500
        fault 4483000 kill member=1 lasts=300000000 salt=101682073132140
        fault 60330000 failed-sync member=1 lasts=5000000 salt=32647687301638
        """
}
