# SPDX-License-Identifier: Apache-2.0
# cpack runs this once the files of every package are in its folder: Debian wants manual pages
# compressed, a changelog and the copyright in each package, and folders whose mode is not from the
# umask of whoever built them.
set(for_all OWNER_READ GROUP_READ WORLD_READ)
foreach(component IN LISTS CPACK_COMPONENTS_ALL)
    string(TOUPPER ${component} upper)
    set(root ${CPACK_TEMPORARY_DIRECTORY}/${component})
    set(doc ${root}/usr/share/doc/${CPACK_DEBIAN_${upper}_PACKAGE_NAME})
    file(COPY ${CMAKE_CURRENT_LIST_DIR}/copyright ${CMAKE_CURRENT_LIST_DIR}/changelog
         DESTINATION ${doc} FILE_PERMISSIONS ${for_all} OWNER_WRITE)
    file(GLOB_RECURSE pages ${root}/usr/share/man/*)
    execute_process(COMMAND gzip -9n ${doc}/changelog ${pages} COMMAND_ERROR_IS_FATAL ANY)
    file(CHMOD_RECURSE ${root} DIRECTORY_PERMISSIONS
         ${for_all} OWNER_WRITE OWNER_EXECUTE GROUP_EXECUTE WORLD_EXECUTE)
endforeach()
