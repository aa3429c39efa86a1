rule orders_desk_ledger_dump
{
    meta:
        description = "what the intruder of 2022 left when the ledger was copied out"
    strings:
        $marker = "ledger-dump-complete" ascii wide
        $drop = /https?:\/\/[a-z0-9.-]+\/drop\/[0-9a-f]{16}/
    condition:
        all of them
}
