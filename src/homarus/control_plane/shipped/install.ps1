# Connects this machine to a Homarus control plane.
#
#   $env:EMPEROR_CLAW_API_URL = "http://HOST:18789"; $env:EMPEROR_CLAW_API_TOKEN = "ec_..."
#   Invoke-RestMethod http://HOST:18789/install.ps1 | Invoke-Expression
#
# Installs Homarus for this user if it is missing, then runs `homarus companion bootstrap` with the
# arguments given. HOMARUS_BIN names a program that is there already, HOMARUS_PACKAGE what to
# install instead of the released package. Nothing needs an administrator.

function Install-HomarusCompanion {
    $ErrorActionPreference = "Stop"
    $package = if ($env:HOMARUS_PACKAGE) { $env:HOMARUS_PACKAGE } else { "homarus" }
    $place = Join-Path $env:LOCALAPPDATA "homarus\venv"
    $own = Join-Path $place "Scripts\homarus.exe"

    $name = if ($env:HOMARUS_BIN) { $env:HOMARUS_BIN } else { "homarus" }
    $found = Get-Command $name -CommandType Application -ErrorAction SilentlyContinue |
        Select-Object -First 1
    $program = if ($found) { $found.Source } elseif (Test-Path $own) { $own } else { $null }

    if (-not $program) {
        $test = "import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))"
        $python = $null
        foreach ($at in "python", "python3", "py") {
            if (-not (Get-Command $at -CommandType Application -ErrorAction SilentlyContinue)) { continue }
            & $at -c $test 2>$null
            if ($LASTEXITCODE -eq 0) { $python = $at; break }
        }
        if (-not $python) { throw "[error] Homarus needs Python 3.11 or newer. Install it, then run this again." }
        Write-Output "[step] installing $package into $place"
        & $python -m venv $place
        if ($LASTEXITCODE -ne 0) { throw "[error] $place cannot be made." }
        & (Join-Path $place "Scripts\python.exe") -m pip install --quiet --upgrade $package
        if ($LASTEXITCODE -ne 0) { throw "[error] $package could not be installed; what pip said stands above." }
        $program = $own
    }

    Write-Output "[ok] $(& $program --version) at $program"
    & $program companion bootstrap @args
    if ($LASTEXITCODE -ne 0) { throw "[error] bootstrap failed; what it said stands above." }
}

# Called at the end: a download that was cut off does nothing.
Install-HomarusCompanion @args
