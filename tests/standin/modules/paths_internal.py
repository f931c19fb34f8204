from pathlib import Path

script_path = str(Path(__file__).resolve().parents[1])
extensions_dir, extensions_builtin_dir = "", str(Path(script_path) / "extensions-builtin")
