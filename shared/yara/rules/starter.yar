// Starter set of Blackstart: see README.md. Apache-2.0.

rule eicar_test_file
{
    meta:
        description = "EICAR malware test file"
        reference = "https://www.eicar.org/download-anti-malware-testfile/"
    strings:
        // In hexadecimal, so that no scanner takes this file for the test file.
        $whole = { 58 35 4F 21 50 25 40 41 50 5B 34 5C 50 5A 58 35 34 28 50 5E 29 37 43 43 29 37 7D 24 45 49 43 41 52 2D
                   53 54 41 4E 44 41 52 44 2D 41 4E 54 49 56 49 52 55 53 2D 54 45 53 54 2D 46 49 4C 45 21 24 48 2B 48 2A }
    condition:
        $whole
}

rule note_payment_for_keys
{
    meta:
        description = "demands payment for a decryption key"
    strings:
        $locked1 = "files have been encrypted" nocase wide ascii
        $locked2 = "files are encrypted" nocase wide ascii
        $locked3 = "files were encrypted" nocase wide ascii
        $locked4 = "network has been encrypted" nocase wide ascii
        $locked5 = "data has been encrypted" nocase wide ascii
        $locked6 = "stolen and encrypted" nocase wide ascii
        $pay1 = /(pay|send|transfer)[^\n]{0,60}(bitcoin|btc|monero|xmr)/ nocase wide ascii
        $pay2 = "bitcoin wallet" nocase wide ascii
        $pay3 = "in bitcoin" nocase wide ascii
        $key1 = "decryption key" nocase wide ascii
        $key2 = "decryptor" nocase wide ascii
        $key3 = "private key" nocase wide ascii
        $key4 = "decrypt your" nocase wide ascii
        $key5 = "get them back" nocase wide ascii
    condition:
        any of ($locked*) and any of ($pay*) and any of ($key*)
}

rule note_hidden_service_contact
{
    meta:
        description = "tells to write to a hidden service about encrypted or stolen data"
    strings:
        $onion = /[a-z2-7]{56}\.onion/ nocase wide ascii
        $taken1 = "encrypted" nocase wide ascii
        $taken2 = "stolen" nocase wide ascii
        $taken3 = "leaked" nocase wide ascii
        $taken4 = "published" nocase wide ascii
        $advice1 = "do not rename" nocase wide ascii
        $advice2 = "don't rename" nocase wide ascii
        $advice3 = "do not try to decrypt" nocase wide ascii
        $advice4 = "do not modify" nocase wide ascii
        $advice5 = "tor browser" nocase wide ascii
        $advice6 = "recovery company" nocase wide ascii
    condition:
        $onion and any of ($taken*) and any of ($advice*)
}

rule note_deleted_database
{
    meta:
        description = "says that a database was taken away and is given back for money"
    strings:
        $taken1 = "data is backed up by us" nocase
        $taken2 = "your database was encrypted by" nocase
        $taken3 = "your database has been deleted" nocase
        $taken4 = "databases have been downloaded" nocase
        $price = /[0-9]\.[0-9]{1,4} ?btc/ nocase
    condition:
        any of ($taken*) and $price
}

rule family_wannacry
{
    meta:
        description = "WannaCry: an encrypted file or one of its parts"
        reference = "https://labs.vipre.com/wannacry-technical-analysis/"
    strings:
        $head = "WANACRY!"
        $part1 = "@WanaDecryptor@" wide ascii
        $part2 = "@Please_Read_Me@" wide ascii
        $part3 = "tasksche.exe" wide ascii
    condition:
        $head at 0 or 2 of ($part*)
}

rule family_mongo_lock
{
    meta:
        description = "Mongo Lock: note in an emptied database"
        reference = "https://digital.nhs.uk/cyber-alerts/2018/cc-2668"
    strings:
        $name = "Mongo Lock" nocase
        $encrypted = "was encrypted" nocase
        $key = "Unique_KEY"
    condition:
        $name and ($encrypted or $key)
}

rule family_lockbit
{
    meta:
        description = "LockBit: note"
        reference = "https://www.cisa.gov/news-events/cybersecurity-advisories/aa23-075a"
    strings:
        $name1 = "LockBit 3.0 the world's fastest" nocase wide ascii
        $name2 = "LockBit Black" nocase wide ascii
        $name3 = "LockBit 2.0 Ransomware" nocase wide ascii
        $site = "lockbitapt" nocase wide ascii
        $stolen = "stolen and encrypted" nocase wide ascii
    condition:
        $name1 or ($stolen and any of ($name2, $name3, $site))
}

rule family_akira
{
    meta:
        description = "Akira: note"
    strings:
        $name = "akira" nocase wide ascii
        $infrastructure = "internal infrastructure of your company is fully or partially dead" nocase wide ascii
        $site = "akiral2iz6a7qgd3ayp3l6yub7xx2uep76idk3u2kollpj5z3z636bad" nocase wide ascii
    condition:
        $infrastructure or ($name and $site)
}

rule family_conti
{
    meta:
        description = "Conti: note"
        reference = "https://www.cisa.gov/news-events/cybersecurity-advisories/aa21-265a"
    strings:
        $strain = "currently encrypted by CONTI" nocase wide ascii
        $locked = "has been locked by Conti" nocase wide ascii
    condition:
        any of them
}

rule family_blackcat
{
    meta:
        description = "BlackCat (ALPHV): note"
        reference = "https://www.cisa.gov/news-events/cybersecurity-advisories/aa23-353a"
    strings:
        $network = "files on your network was ENCRYPTED and now they have" nocase wide ascii
        $sensitive = "Sensitive data on your network was DOWNLOADED" nocase wide ascii
    condition:
        any of them
}

rule family_black_basta
{
    meta:
        description = "Black Basta: note"
        reference = "https://www.cisa.gov/news-events/cybersecurity-advisories/aa24-131a"
    strings:
        $stolen = "stolen and encrypted" nocase wide ascii
        $site = "published on TOR website" nocase wide ascii
    condition:
        all of them
}

rule family_royal
{
    meta:
        description = "Royal: note"
        reference = "https://www.cisa.gov/news-events/cybersecurity-advisories/aa23-061a"
    strings:
        $saved = "decided to save some money on your security infrastructure" nocase wide ascii
        $name = "Royal" wide ascii
        $offer = "royal offers you a unique deal" nocase wide ascii
    condition:
        $offer or ($saved and $name)
}

rule family_hive
{
    meta:
        description = "Hive: note"
        reference = "https://www.cisa.gov/news-events/cybersecurity-advisories/aa22-321a"
    strings:
        $breached = "Your network has been breached and all data" nocase wide ascii
        $advice = "Do not modify, rename or delete *.key" nocase wide ascii
        $site = "hivecust" nocase wide ascii
    condition:
        2 of them
}

rule family_rhysida
{
    meta:
        description = "Rhysida: note"
    strings:
        $title = "Critical Breach Detected" nocase wide ascii
        $team = "cybersecurity team Rhysida" nocase wide ascii
        $site = "rhysidafohrhyy2aszi7bm32tnjat5xri65fopcxkdfxhi4tsdsg7cad" nocase wide ascii
    condition:
        $team or ($title and $site) or $site
}

rule family_esxiargs
{
    meta:
        description = "ESXiArgs: note"
        reference = "https://www.cisa.gov/news-events/cybersecurity-advisories/aa23-039a"
    strings:
        $alert = "Security Alert!!!" nocase wide ascii
        $hacked = "We hacked your company successfully" nocase wide ascii
        $share = "Send money within 3 days" nocase wide ascii
    condition:
        2 of them
}

rule tool_shadow_copies_deleted
{
    meta:
        description = "a script that deletes what a recovery would need"
        reference = "https://attack.mitre.org/techniques/T1490/"
    strings:
        $vss = /vssadmin(\.exe)? +delete +shadows +\/all/ nocase wide ascii
        $wmic = /wmic(\.exe)? +shadowcopy +delete/ nocase wide ascii
        $boot = /bcdedit(\.exe)? +\/set +\{default\} +recoveryenabled +no/ nocase wide ascii
        $catalog = /wbadmin(\.exe)? +delete +catalog/ nocase wide ascii
    condition:
        2 of them
}
