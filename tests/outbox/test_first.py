from pathlib import Path

from tests.support.mirrored import mirrored


async def test_a_change_reaches_the_target_once(tmp_path: Path) -> None:
    async with mirrored(tmp_path) as m:
        await m.add()
        await m.shop.agent("ada")
        task = await m.shop.task()
        await m.until_empty()
        assert await m.differences() == []
        assert len(m.target.records) == 1
        calls = m.target.calls
        claimed = await m.shop.claim("ada")
        assert claimed is not None
        await m.shop.result("ada", task.id, "done", output={"x": 1})
        await m.until_empty()
        assert await m.differences() == []
        assert m.target.calls == calls + 1
        print(await m.rows("status", "action", "receipt_id", "kernel_receipt"))
