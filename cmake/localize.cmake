# Makes ARCHIVE one object in which only the API is visible. Run by the build of hark_static.
cmake_path(GET ARCHIVE PARENT_PATH folder)
set(object ${folder}/hark.o)

function(run)
  execute_process(COMMAND ${ARGN} COMMAND_ERROR_IS_FATAL ANY)
endfunction()

run(${LINKER} -r -o ${object} --whole-archive ${ARCHIVE})
run(${OBJCOPY} --localize-hidden ${object})
file(REMOVE ${ARCHIVE})
run(${AR} rcs ${ARCHIVE} ${object})
file(REMOVE ${object})
